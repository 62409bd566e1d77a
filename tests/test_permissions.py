"""Every address of the console, the admin and the API, against every kind of visitor.

**A new address needs a row**; ``test_every_address_has_a_row`` names those without one.

* A page of the console or an extra page of the admin: a row in ``MATRIX``. The arguments name
  what stands in the address; what they mean is looked up in the ``scene``, so add there what your
  address needs (one webhook, one journey ... of the workspace ``home``).
* An address of the API: a row in ``API``.
* A model in Django admin: nothing, its five pages are covered below. Only make one object of it in
  ``scene``; the test says when it misses one.

Every cell is asked in a savepoint, so a POST changes nothing for the next one.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from django.contrib import admin
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.test.client import MULTIPART_CONTENT
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from identity.models import Audience, MappingConflict
from journeys import drafts
from journeys.models import JourneyVersion, Run
from tests.factories import (
    make_administrator,
    make_member,
    make_operator,
    make_organization,
    make_user,
    make_workspace,
    membership_of,
)
from tests.identity.factories import make_audience, make_event_type, make_profile, make_tag
from tests.webhooks.factories import make_choice_list, make_webhook
from webhooks import granting, keys, outbox, partitions, plans
from webhooks.choices import SecretKind
from webhooks.models import Attempt, Delivery, Message, Receipt, Redelivery, Webhook
from webhooks.outbox import NewChunk
from workspaces import api_keys, member_groups, members, notices
from workspaces.admin import scoping
from workspaces.admin.base import ScopedInline, ScopedModelAdmin
from workspaces.admin_site import Guarded, OperatorOnly
from workspaces.choices import Preset, Scope
from workspaces.models import Organization, User, Workspace
from workspaces.points import Point

pytestmark = pytest.mark.django_db

# Who asks. "role only" and "grant only" each lack one of the two gates of a webhook step; the
# "stranger" is the administrator of another tenant.
VISITORS: Final = (
    "administrator",
    "both gates",
    "role only",
    "grant only",
    "analyst",
    "stranger",
    "anonymous",
)
OPEN: Final = (200,) * 7
INSIDE: Final = (200, 200, 200, 200, 200, 200, 302)
LEADS_ON: Final = (302,) * 7
POST_ONLY: Final = (405,) * 7
OWN_ONLY: Final = (404, 404, 404, 404, 404, 404, 302)
SET_UP: Final = (200, 403, 403, 403, 403, 404, 302)
SET_UP_POST: Final = (302, 403, 403, 403, 403, 404, 302)

MEMBERS: Final = (200, 200, 200, 200, 200, 404, 302)
DELIVERIES: Final = (200, 200, 200, 403, 200, 404, 302)
# Data or deliveries; data or people in clear.
EVENTS: Final = (200, 200, 200, 403, 200, 404, 302)
EVENTS_POST: Final = (302, 302, 302, 403, 302, 404, 302)
PEOPLE: Final = (200, 403, 403, 403, 403, 404, 302)
DELIVERIES_POST: Final = (302, 302, 302, 403, 302, 404, 302)
EDIT: Final = (200, 200, 200, 200, 403, 404, 302)
EDIT_REFUSED: Final = (422, 422, 422, 422, 403, 404, 302)
EDIT_STALE: Final = (409, 409, 409, 409, 403, 404, 302)
EDIT_NOTHING: Final = (404, 404, 404, 404, 403, 404, 302)


@dataclass(frozen=True)
class Row:
    """One verb of one address, and the status for each of ``VISITORS`` in order."""

    verb: str
    name: str
    statuses: tuple[int, ...]
    arguments: tuple[str, ...] = ()
    data: dict[str, str] = field(default_factory=dict)


def get(name: str, statuses: tuple[int, ...], /, *arguments: str, **data: str) -> Row:
    return Row("GET", name, statuses, arguments, data)


def post(name: str, statuses: tuple[int, ...], /, *arguments: str, **data: str) -> Row:
    return Row("POST", name, statuses, arguments, data)


MATRIX: Final = (
    # -- what the API can do
    get("api_docs", OPEN),
    get("api_schema", OPEN),
    # -- log-in
    get("account_login", (302, 302, 302, 302, 302, 302, 200)),
    get("account_logout", INSIDE),
    get("account_inactive", OPEN),
    get("account_signup", (302, 302, 302, 302, 302, 302, 200)),
    get("account_reauthenticate", INSIDE),
    get("account_change_password", INSIDE),
    get("account_set_password", LEADS_ON),
    get("account_reset_password", OPEN),
    get("account_reset_password_done", OPEN),
    get("account_reset_password_from_key", OPEN, "no user", "no key"),
    get("account_reset_password_from_key_done", OPEN),
    get("mfa_index", INSIDE),
    get("mfa_authenticate", LEADS_ON),
    get("mfa_reauthenticate", LEADS_ON),
    get("mfa_activate_totp", LEADS_ON),
    get("mfa_deactivate_totp", OWN_ONLY),
    get("mfa_view_recovery_codes", OWN_ONLY),
    get("mfa_generate_recovery_codes", LEADS_ON),
    get("mfa_download_recovery_codes", OWN_ONLY),
    # -- the frame
    get("workspaces:start", LEADS_ON),
    get("workspaces:home", (302, 302, 302, 302, 302, 404, 302), "slug"),
    get("workspaces:settings", INSIDE),
    get("workspaces:language", POST_ONLY),
    post("workspaces:language", LEADS_ON, language="en"),
    get("workspaces:notices", INSIDE),
    post("workspaces:notices_read", LEADS_ON),
    post("workspaces:notice_open", (302, 404, 404, 404, 404, 404, 302), "notice"),
    post("workspaces:invitation_accept", OWN_ONLY, "invitation"),
    post("workspaces:invitation_decline", OWN_ONLY, "invitation"),
    # -- the set-up as a whole
    get("admin:index", (200, 403, 403, 403, 403, 200, 302)),
    get("admin:login", (302, 403, 403, 403, 403, 302, 302)),
    get("admin:logout", (302, 403, 403, 403, 403, 302, 302)),
    get("admin:password_change", (302, 403, 403, 403, 403, 302, 302)),
    get("admin:password_change_done", (200, 403, 403, 403, 403, 200, 302)),
    get("admin:jsi18n", (200, 403, 403, 403, 403, 200, 302)),
    get("admin:autocomplete", (403, 403, 403, 403, 403, 403, 302)),
    get("admin:app_list", (200, 403, 403, 403, 403, 200, 302), "app"),
    get("admin:auth_user_password_change", (403, 403, 403, 403, 403, 403, 302), "user"),
    # -- the step editor; an empty POST of who may edit is told what is wrong with it
    # -- journeys: the list, publishing and runs
    get("journeys:list", MEMBERS, "slug"),
    get("journeys:create", EDIT, "slug"),
    post(
        "journeys:create", (302, 302, 302, 302, 403, 404, 302), "slug", name="New", start="audience"
    ),
    get("journeys:rename", EDIT, "slug", "journey"),
    post("journeys:rename", EDIT_REFUSED, "slug", "journey"),
    post("journeys:duplicate", (302, 302, 302, 302, 403, 404, 302), "slug", "journey"),
    post("journeys:archive", (302, 302, 302, 302, 403, 404, 302), "slug", "journey"),
    get("journeys:publish", EDIT, "slug", "journey"),
    post("journeys:publish", (409, 409, 409, 409, 403, 404, 302), "slug", "journey"),
    get("journeys:pause", EDIT, "slug", "journey"),
    post("journeys:pause", EDIT_REFUSED, "slug", "journey"),
    post("journeys:resume", EDIT_REFUSED, "slug", "journey"),
    get("journeys:stop", EDIT, "slug", "journey"),
    post("journeys:stop", EDIT_REFUSED, "slug", "journey"),
    get("journeys:versions", MEMBERS, "slug", "journey"),
    post("journeys:version_restore", EDIT_STALE, "slug", "journey", "version"),
    get("journeys:run", MEMBERS, "slug", "journey", "run"),
    get("journeys:run_numbers", MEMBERS, "slug", "journey", "run"),
    post("journeys:person", (422, 422, 422, 403, 422, 404, 302), "slug", "journey", "run"),
    get("journeys:why", (200, 200, 200, 403, 200, 404, 302), "slug", "journey", "run", "person"),
    get("journeys:deliveries", DELIVERIES, "slug"),
    post("journeys:deliveries", DELIVERIES_POST, "slug", id="nobody"),
    get("journeys:orders", DELIVERIES, "slug"),
    get("journeys:export", DELIVERIES, "slug"),
    get("journeys:send_again", (200, 200, 200, 403, 403, 404, 302), "slug"),
    post("journeys:send_again", (422, 422, 422, 403, 403, 404, 302), "slug"),
    # Audiences: a marketer reads them, who manages data changes them.
    get("journeys:audiences", EDIT, "slug"),
    get("journeys:audience_create", SET_UP, "slug"),
    post("journeys:audience_create", (422, *SET_UP_POST[1:]), "slug"),
    get("journeys:audience_new", SET_UP, "slug"),
    post("journeys:audience_new", (422, *SET_UP_POST[1:]), "slug"),
    post("journeys:audience_rows", SET_UP, "slug"),
    post("journeys:audience_said", SET_UP, "slug"),
    post("journeys:audience_count", SET_UP, "slug"),
    get("journeys:audience", EDIT, "slug", "audience"),
    post("journeys:audience", (200, 403, 403, 403, 403, 404, 302), "slug", "audience"),
    get("journeys:audience_people", EDIT, "slug", "audience"),
    get("journeys:audience_rename", SET_UP, "slug", "audience"),
    post("journeys:audience_rename", (422, *SET_UP_POST[1:]), "slug", "audience"),
    post("journeys:audience_duplicate", SET_UP_POST, "slug", "audience"),
    post("journeys:audience_delete", SET_UP_POST, "slug", "audience"),
    get("journeys:audience_upload", SET_UP, "slug", "audience"),
    post("journeys:audience_upload", (422, *SET_UP_POST[1:]), "slug", "audience"),
    post("journeys:audience_look", SET_UP, "slug", "audience"),
    get("journeys:audience_rejects", (404, *SET_UP[1:]), "slug", "audience"),
    # What came in, and whom it is about.
    get("journeys:events", EVENTS, "slug"),
    post("journeys:events", EVENTS_POST, "slug", id="nobody"),
    get("journeys:event_summary", EVENTS, "slug"),
    get("journeys:people", PEOPLE, "slug"),
    post("journeys:people", (422, *PEOPLE[1:]), "slug"),
    get("journeys:people_census", PEOPLE, "slug"),
    get("journeys:person_page", PEOPLE, "slug", "person"),
    get("journeys:person_audiences", PEOPLE, "slug", "person"),
    # The editor.
    get("journeys:editor", MEMBERS, "slug", "journey"),
    get("journeys:canvas", MEMBERS, "slug", "journey"),
    get("journeys:others", MEMBERS, "slug", "journey"),
    get("journeys:numbers", MEMBERS, "slug", "journey"),
    post("journeys:change_start", EDIT_REFUSED, "slug", "journey"),
    post("journeys:step_add", EDIT_REFUSED, "slug", "journey"),
    post("journeys:step_paste", EDIT_REFUSED, "slug", "journey"),
    post("journeys:step_duplicate", EDIT_REFUSED, "slug", "journey"),
    post("journeys:step_move", EDIT_REFUSED, "slug", "journey"),
    post("journeys:step_delete", EDIT_REFUSED, "slug", "journey"),
    post("journeys:undo", EDIT, "slug", "journey", "revision"),
    get("journeys:panel", MEMBERS, "slug", "journey", "step"),
    post("journeys:panel", EDIT_REFUSED, "slug", "journey", "step"),
    post("journeys:preview", MEMBERS, "slug", "journey", "step"),
    post("journeys:coverage", MEMBERS, "slug", "journey", "step"),
    post("journeys:start_people", MEMBERS, "slug", "journey", "start", kept="1"),
    post("journeys:variable", EDIT, "slug", "journey", "step"),
    post("journeys:variable_insert", EDIT_REFUSED, "slug", "journey", "step"),
    post("journeys:variable_preview", EDIT, "slug", "journey", "step"),
    post("journeys:variable_rates", EDIT, "slug", "journey", "step"),
    # Without a webhook there is nothing to test; the gates: tests/journeys/test_views_editor.py.
    post("journeys:test", EDIT_NOTHING, "slug", "journey", "step"),
    post("journeys:test_send", EDIT_NOTHING, "slug", "journey", "step"),
    post("journeys:test_values", EDIT_NOTHING, "slug", "journey", "step"),
    post("journeys:test_cancel", (204, 204, 204, 204, 403, 404, 302), "slug", "journey", "step"),
    # -- webhooks in the set-up
    post("admin:webhooks_webhook_preview", (200, 403, 403, 403, 403, 200, 302)),
    get("admin:webhooks_webhook_key", (404, 403, 403, 403, 403, 404, 302), "webhook", "secret"),
    post("admin:webhooks_webhook_key_new", SET_UP_POST, "webhook", kind="receipt"),
    get("admin:webhooks_webhook_test", SET_UP, "webhook"),
    post("admin:webhooks_webhook_test_cancel", (204, *SET_UP_POST[1:]), "webhook"),
    post("admin:webhooks_webhook_grant", (422, *SET_UP_POST[1:]), "webhook"),
    post("admin:webhooks_webhook_grant_end", SET_UP_POST, "webhook", "member", "grant"),
    post("admin:webhooks_webhook_state", SET_UP_POST, "webhook", state="paused"),
    post("admin:webhooks_webhook_duplicate", SET_UP_POST, "webhook"),
    get("admin:webhooks_webhook_guide", SET_UP, "webhook"),
    get("admin:webhooks_webhook_guide_markdown", SET_UP, "webhook"),
)

# The API knows no members: a good key, one without scopes, a revoked one, another tenant's, none.
CALLERS: Final = ("key", "unscoped", "revoked", "foreign", "none")
API: tuple[Row, ...] = (
    # An empty body: who gets this far is told what is missing.
    post("api_events", (400, 403, 401, 400, 401)),
    # The webhook's own receipt key and nothing else opens it.
    post("api_receipts", (401, 401, 401, 401, 401), "public id"),
)


@dataclass
class Scene:
    """One workspace with everything, another tenant, and the visitors."""

    home: Workspace
    visitors: dict[str, User | None]
    callers: dict[str, str]
    values: dict[str, Any]
    clients: dict[str, Client]


@pytest.fixture
def scene() -> Scene:
    home = make_workspace(make_organization())
    away = make_workspace(make_organization())
    administrator = make_administrator(home)
    visitors: dict[str, User | None] = {
        "administrator": administrator,
        "both gates": make_member(home, Preset.MARKETER),
        "role only": make_member(home, Preset.MARKETER),
        "grant only": make_member(home, points=[Point.AUTOMATED_MARKETING, Point.PUBLISH_JOURNEYS]),
        "analyst": make_member(home, Preset.ANALYST),
        "stranger": make_administrator(away),
        "anonymous": None,
    }
    clients = {visitor: _client_of(user) for visitor, user in visitors.items()}
    return Scene(home, visitors, _callers(home, away), _values(home, visitors), clients)


def _client_of(user: User | None) -> Client:
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


def _values(home: Workspace, visitors: dict[str, User | None]) -> dict[str, Any]:
    """Return what stands in addresses; the objects all belong to ``home``."""
    administrator = visitors["administrator"]
    assert administrator is not None
    now = timezone.now()
    webhook = make_webhook(home)
    gated = [visitors["both gates"], visitors["grant only"]]
    granting.grant(
        webhook=webhook,
        grantees=granting.Grantees(members=[membership_of(user, home) for user in gated if user]),
        actor=administrator,
        now=now,
    )
    secret, _clear = keys.make(
        webhook=webhook, kind=SecretKind.AES, actor=administrator, now=now, given=""
    )
    invitation = members.add_member(
        workspace=home, email=make_user().email, actor=administrator, now=now
    )
    notices.register("test_matrix", "Something.")
    notices.tell(workspace=home, kind="test_matrix", to=[administrator])
    member_groups.create_group(workspace=home, name="Team", actor=administrator)
    _make_records(webhook)
    audience = _make_people(home)
    journey = drafts.create(workspace=home, user=administrator, name="Welcome", now=now)
    step = drafts.add_step(
        journey=journey,
        revision=0,
        user=administrator,
        component="webhook",
        after=None,
        now=now,
    ).step
    assert step is not None
    version = JourneyVersion.objects.create(
        journey=journey, number=1, document=journey.draft, published_at=now
    )
    run = Run.objects.create(workspace=home, journey=journey, version=version, starts_at=now)
    return {
        "journey": journey.pk,
        "run": run.pk,
        "version": version.number,
        "person": audience.members.values_list("profile", flat=True)[0],
        "step": step.key,
        "start": journey.draft["start"]["key"],
        "revision": journey.draft_revision,
        "audience": audience.pk,
        "slug": home.slug,
        "app": "workspaces",
        "user": administrator.pk,
        "no user": "0",
        "no key": "abc-def",
        "notice": administrator.notices.get().pk,
        "invitation": invitation.membership.pk,
        "webhook": webhook.pk,
        "public id": webhook.public_id,
        "secret": secret.pk,
        "member": "member",
        "grant": granting.grants_of(webhook)[0].pk,
    }


def _make_people(home: Workspace) -> Audience:
    person, other = make_profile(home), make_profile(home)
    make_tag(home, "city")
    make_event_type(home)
    id_type, source = home.id_types.get(code="ONEID"), home.data_sources.get()
    MappingConflict.objects.create(
        workspace=home,
        id_type=id_type,
        decided_by=id_type,
        values=["A1", "A2"],
        kept=person,
        other=other,
        data_source=source,
        detected_at=timezone.now(),
    )
    return make_audience(home, people=[person])


def _make_records(webhook: Webhook) -> None:
    """Make one row of each model of which the set-up shows a record."""
    home, now = webhook.workspace, timezone.now()
    make_choice_list(home, "sms")
    revision = webhook.revisions.get()
    definition = plans.define(
        revision=revision, values={}, variables={}, id_type=home.id_types.get(code="MOBILE")
    )
    plan = plans.create(
        revision=revision,
        run_id=1,
        step_key=str(uuid.uuid4()),
        definition=definition,
        labels={},
        responsible=None,
    )
    partitions.ensure_ahead(now=now)
    outbox.submit(plan=plan, chunks=[NewChunk(0, [1])], now=now)
    chunk = plan.chunks.get()
    shared = {"workspace": home, "webhook": webhook, "plan": plan, "day": chunk.day}
    row = {"chunk_id": chunk.pk, "position": 0, "qaid": 1, "state": "delivered"}
    Delivery.objects.create(id="dlv_1", updated_at=now, **row, **shared)
    Message.objects.create(
        id="msg_1", chunk=chunk, delivery_ids=[], positions=[], body=b"", due_at=now, **shared
    )
    Attempt.objects.create(
        day=chunk.day,
        webhook=webhook,
        delivery_id="dlv_1",
        message_id="msg_1",
        number=2,
        at=now,
        outcome="answered",
    )
    Receipt.objects.create(
        webhook=webhook, delivery_id="dlv_1", code="ok", occurred_at=now, received_at=now
    )
    Redelivery.objects.create(workspace=home, ordered_at=now, selection={})


def _callers(home: Workspace, away: Workspace) -> dict[str, str]:
    def key(workspace: Workspace, name: str, *scopes: Scope) -> api_keys.NewKey:
        return api_keys.create(workspace=workspace, name=name, scopes=scopes, actor=None)

    revoked = key(home, "Revoked", *Scope)
    api_keys.revoke(key=revoked.key, actor=None, now=timezone.now())
    return {
        "key": key(home, "Good", *Scope).secret,
        "unscoped": key(home, "Without scope").secret,
        "revoked": revoked.secret,
        "foreign": key(away, "Foreign", *Scope).secret,
        "none": "",
    }


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ask(row: Row, scene: Scene, client: Client, secret: str = "") -> int:
    address = reverse(row.name, args=[scene.values[argument] for argument in row.arguments])
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    with undone():
        if row.verb == "GET":
            status = client.get(address, row.data, headers=headers).status_code
        else:
            kind = "application/json" if row in API else MULTIPART_CONTENT
            status = client.post(address, row.data, kind, headers=headers).status_code
    return int(status)


@pytest.mark.slow
def test_every_address_answers_each_visitor_as_the_table_says(scene: Scene) -> None:
    wrong = [
        f"{row.verb} {row.name} for {visitor}: {status} and not {expected}"
        for row in MATRIX
        for visitor, expected in zip(VISITORS, row.statuses, strict=True)
        if (status := ask(row, scene, scene.clients[visitor])) != expected
    ]

    assert not wrong, "\n" + "\n".join(wrong)


def test_every_address_of_the_api_answers_each_caller_as_the_table_says(scene: Scene) -> None:
    wrong = [
        f"{row.verb} {row.name} for {caller}: {status} and not {expected}"
        for row in API
        for caller, expected in zip(CALLERS, row.statuses, strict=True)
        if (status := ask(row, scene, Client(), scene.callers[caller])) != expected
    ]

    assert not wrong, "\n" + "\n".join(wrong)


def test_every_address_has_a_row() -> None:
    known = {row.name for row in (*MATRIX, *API)} | set(_pages_of_models())

    missing = sorted(set(_names(get_resolver())) - known)

    assert not missing, "No row in MATRIX or API for:\n" + "\n".join(missing)


def test_only_the_api_takes_a_post_without_a_csrf_token(scene: Scene) -> None:
    exempt = {
        name for name, callback in _views(get_resolver()) if getattr(callback, "csrf_exempt", False)
    }

    assert exempt == {"api_events", "api_receipts", "api_schema", "api_docs"}

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(scene.visitors["administrator"])  # type: ignore[arg-type] # a user
    posts = [row for row in MATRIX if row.verb == "POST"]
    assert posts
    assert {row.name for row in posts if ask(row, scene, strict) != 403} == set()


def _views(resolver: URLResolver) -> Iterator[tuple[str, Any]]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern)
        else:
            yield str(pattern.name), pattern.callback


def _names(resolver: URLResolver, namespace: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _names(pattern, inner)
        elif not _is_catch_all(pattern):
            yield f"{namespace}{pattern.name}" if pattern.name else str(pattern.pattern)


def _is_catch_all(pattern: URLPattern) -> bool:
    """Tell whether it is the admin's redirect of old addresses, which answers by the address."""
    return pattern.name is None and str(pattern.pattern) in {
        "(?P<url>.*)$",
        "<path:object_id>/",
    }


# -- The five pages of every model in the set-up ---------------------------------------------------

PAGES: Final = ("changelist", "add", "change", "delete", "history")


def _pages_of_models() -> dict[str, tuple[type[Model], str]]:
    return {
        f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}": (model, page)
        for model in admin.site._registry
        for page in PAGES
    }


def _object_of(model_admin: ScopedModelAdmin, home: Workspace) -> Model | None:
    lookup = {model_admin.workspace_lookup: home.pk}
    found: Model | None = model_admin.model._default_manager.filter(**lookup).first()
    return found


def _open_page(client: Client, name: str, page: str, obj: Model | None) -> int:
    arguments = [] if page in ("changelist", "add") else [obj.pk if obj else 0]
    with undone():
        return int(client.get(reverse(name, args=arguments)).status_code)


@pytest.mark.slow
def test_every_page_of_every_model_keeps_to_its_tenant(scene: Scene) -> None:
    """What an administrator sees, another tenant's does not find, and a marketer may not open."""
    wrong: list[str] = []
    for name, (model, page) in _pages_of_models().items():
        model_admin = admin.site.get_model_admin(model)
        # An organization has its own administrators: tests/workspaces/test_admin.py.
        if not isinstance(model_admin, ScopedModelAdmin) or model is Organization:
            continue
        obj = _object_of(model_admin, scene.home)
        answers = {
            visitor: _open_page(client, name, page, obj)
            for visitor, client in scene.clients.items()
            if visitor in ("administrator", "both gates", "stranger", "anonymous")
        }
        # An administrator may open it, or nobody may (a record is not added, changed or deleted).
        looks = page in ("changelist", "change", "history")
        allowed = {200} if looks else {200, 302, 403}
        if answers["administrator"] not in allowed:
            wrong.append(f"{name} for administrator: {answers['administrator']}")
        expected = {"both gates": 403, "anonymous": 302}
        expected["stranger"] = 404 if page in ("change", "delete", "history") else 200
        for visitor, status in expected.items():
            # A stranger may be refused the page of new objects, and the delete page, like anybody.
            if answers[visitor] != status and not (
                visitor == "stranger" and page == "add" and answers[visitor] == 403
            ):
                wrong.append(f"{name} for {visitor}: {answers[visitor]} and not {status}")

    assert not wrong, "\n" + "\n".join(wrong)


def test_the_scene_holds_an_object_of_every_model_in_the_set_up(scene: Scene) -> None:
    missing = [
        model._meta.label
        for model, model_admin in admin.site._registry.items()
        if isinstance(model_admin, ScopedModelAdmin) and _object_of(model_admin, scene.home) is None
    ]

    assert not missing, f"Make one in the scene of: {', '.join(missing)}"


def test_the_internals_are_for_operators_alone(scene: Scene) -> None:
    operator = _client_of(make_operator())
    administrator = scene.clients["administrator"]

    wrong = [
        name
        for name, (model, page) in _pages_of_models().items()
        if isinstance(admin.site.get_model_admin(model), OperatorOnly)
        and page in ("changelist", "add")
        and (
            _open_page(administrator, name, page, None) != 403
            or _open_page(operator, name, page, None) not in (200, 403)
        )
    ]

    assert not wrong


def test_every_registered_class_answers_for_its_own_permissions() -> None:
    ours = {"workspaces", "identity", "webhooks", "journeys"}

    for model, model_admin in admin.site._registry.items():
        kind: type = type(model_admin)
        assert issubclass(kind, Guarded), model
        if model._meta.app_label in ours and model is not User:
            assert issubclass(kind, ScopedModelAdmin), model
            assert all(issubclass(inline, ScopedInline) for inline in model_admin.inlines), model


def test_every_form_field_offers_only_what_is_the_workspaces(scene: Scene) -> None:
    """Choices of foreign keys on every add page: never an object of another tenant."""
    make_webhook(make_workspace())
    client = scene.clients["administrator"]
    wrong: list[str] = []
    for model, model_admin in admin.site._registry.items():
        if not isinstance(model_admin, ScopedModelAdmin):
            continue
        page = client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add"))
        if page.status_code != 200:
            continue
        forms = [page.context["adminform"].form]
        forms += [inline.formset.empty_form for inline in page.context["inline_admin_formsets"]]
        for form in forms:
            for name, form_field in form.fields.items():
                offered = getattr(form_field, "queryset", None)
                if name == form.instance._meta.pk.name:
                    continue  # the inline's own row
                if offered is not None and _foreign(offered, scene.home):
                    wrong.append(f"{model._meta.label}.{name}")

    assert not wrong


def _foreign(offered: Any, home: Workspace) -> bool:
    """Tell whether a choice list holds anything that is not of the workspace."""
    if offered.model is User:
        return any(
            not user.memberships.filter(workspace=home).exists()
            and not user.organization_members.filter(organization=home.organization).exists()
            for user in offered
        )
    if offered.model._meta.label == "workspaces.Organization":
        return bool(offered.exclude(pk=home.organization_id).exists())
    lookup = scoping.lookup_of(offered.model, admin.site)
    return bool(offered.exclude(**{lookup: home.pk}).exists())


def test_no_member_holds_a_django_model_permission(scene: Scene) -> None:
    """Rights come from roles; a global permission would be one in every tenant."""
    from django.contrib.auth.models import Group

    assert not any(group.permissions.exists() for group in Group.objects.all())
    assert not any(user.user_permissions.exists() for user in User.objects.all())
