"""Every act that changes who may do what, a webhook or a published journey leaves its entry.

Each act is done through its own door: the set-up's form, the console's POST, the command. **A new
act needs a row**: a function below with ``@act("its.action")``. What must have one is derived from
the code, in three ways:

* every action that a call of ``audit.record`` names;
* what the set-up lets an operator add, change and delete;
* every core function that takes an ``actor`` (a ``user``, for journeys) was called by a row.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from io import StringIO
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.core.management import call_command
from django.db import transaction
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone, translation

from journeys import publishing
from journeys.models import Journey
from tests.factories import make_head, make_operator, make_user
from tests.journeys.factories import NOW, Scene, make_scene
from tests.webhooks.factories import (
    make_administrator,
    make_choice_list,
    make_member,
    membership_of,
    role_of,
)
from webhooks import granting, keys
from webhooks.choices import SecretKind
from webhooks.models import ChoiceList, Webhook
from workspaces import api_keys, audit_words, demo_logins, member_groups, members, roles
from workspaces.choices import Preset, Scope, Via
from workspaces.models import (
    ApiKey,
    AuditEntry,
    MemberGroup,
    Membership,
    Organization,
    Role,
    User,
    Workspace,
)
from workspaces.points import Point

pytestmark = pytest.mark.django_db

ROOT: Final = Path(__file__).parent.parent
APPS: Final = ("workspaces", "webhooks", "journeys")

# Recorded, and no change of who may do what, of a webhook or of a published journey.
OTHER_ACTIONS: Final = {
    "webhook.tested": "sends one message; tests/webhooks/test_test_sends.py",
    "delivery.*": "sends again, holds back or hands out what was sent",
    "webhooksecret.rotated": "every secret keeps its value; tests/webhooks/test_rotation.py",
}
# Take an actor, and change none of it.
OTHER_FUNCTIONS: Final = {
    "workspaces.audit.record": "what all of this is about",
    "webhooks.redelivery.order": "sends again",
    "webhooks.holding.hold": "lets people wait",
    "webhooks.holding.release": "lets them go on",
    "webhooks.holding.expire": "ends their waiting",
    "webhooks.test_sends.send": "sends one message",
    "webhooks.test_sends.cancel": "keeps one from being sent",
    "journeys.publishing.check": "reads",
    "journeys.publishing.review": "reads",
    **{
        f"journeys.drafts.{name}": "writes a draft; who did it stands in its DraftChange"
        for name in (
            "add_step",
            "save_step",
            "change_start",
            "move_step",
            "copy_step",
            "delete_step",
            "undo",
            "restore",
        )
    },
}


@dataclass
class Stage:
    """One workspace with everything, and those who act in it."""

    scene: Scene
    administrator: User
    head: User
    operator: User
    clients: dict[int, Client] = field(default_factory=dict)

    @property
    def workspace(self) -> Workspace:
        return self.scene.workspace

    @property
    def webhook(self) -> Webhook:
        return self.scene.webhook

    def client(self, user: User | None = None) -> Client:
        user = user or self.administrator
        if user.pk not in self.clients:
            self.clients[user.pk] = Client()
            self.clients[user.pk].force_login(user)
        return self.clients[user.pk]

    def post(self, url: str, data: Mapping[str, Any], user: User | None = None) -> None:
        """Post a form, and see that it was taken."""
        response = self.client(user).post(url, data)
        assert response.status_code < 400, response.content.decode()[-2_000:]
        shown = response.context or {}
        if "adminform" in shown:
            formsets = [each.formset for each in shown["inline_admin_formsets"]]
            errors = [shown["adminform"].form.errors, *(each.errors for each in formsets)]
            assert not any(errors), errors

    def fill(self, url: str, data: Mapping[str, Any], user: User | None = None) -> None:
        """Post a page of the set-up as it is, but for ``data``; None takes a field out."""
        page = self.client(user).get(url)
        filled = {**_fields(page.context), **data}
        self.post(url, {name: value for name, value in filled.items() if value is not None}, user)

    def member(self, preset: Preset | None = Preset.ANALYST) -> Membership:
        return membership_of(make_member(self.workspace, preset), self.workspace)

    def granted(self, **grantees: Any) -> None:
        granting.grant(
            webhook=self.webhook, grantees=granting.Grantees(**grantees), actor=None, now=NOW
        )

    def published(self) -> Journey:
        journey = self.scene.journey()
        publishing.publish(
            journey=journey, revision=journey.draft_revision, user=self.scene.member, now=NOW
        )
        return journey


@dataclass(frozen=True)
class Done:
    """What an entry has to tell; the administrator in the stage's workspace unless said."""

    obj: Model
    actor: User | None
    workspace: Workspace | None
    via: Via = Via.ADMIN


Act = Callable[[Stage], Done]
ACTS: Final[dict[str, tuple[str, Act]]] = {}


def act(action: str) -> Callable[[Act], Act]:
    def add(function: Act) -> Act:
        ACTS[function.__name__] = (action, function)
        return function

    return add


def in_setup(stage: Stage, obj: Model) -> Done:
    return Done(obj, stage.administrator, stage.workspace)


def by_command(stage: Stage, obj: Model, *arguments: object) -> Done:
    """Run a command in the administrator's name."""
    run(*arguments, "--as", stage.administrator.email)
    return Done(obj, stage.administrator, stage.workspace, Via.COMMAND)


def run(*arguments: object) -> str:
    output = StringIO()
    call_command(*(str(each) for each in arguments), stdout=output)
    return output.getvalue()


def change(obj: Model, page: str = "change") -> str:
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_{page}", args=[obj.pk])


def added(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")


def newest(model: type[Model]) -> Any:
    return model._default_manager.order_by("-pk")[0]


def of_journey(stage: Stage, journey: Journey, page: str, **data: str) -> Done:
    member = stage.scene.member
    stage.post(reverse(f"journeys:{page}", args=[stage.workspace.slug, journey.pk]), data, member)
    return Done(journey, member, stage.workspace, Via.WEB)


def _fields(context: Any) -> dict[str, Any]:
    """Return what a page of the set-up would post untouched."""
    forms = [context["adminform"].form]
    for inline in context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    return {
        bound.html_name: _posted(bound.value())
        for form in forms
        for bound in form
        if bound.value() is not None and bound.value() is not False
    }


def _posted(value: Any) -> Any:
    if isinstance(value, list):
        return [_posted(each) for each in value]
    if isinstance(value, Model):
        return value.pk
    return "on" if value is True else value


# -- Members ---------------------------------------------------------------------------------------


@act("member.added")
def a_member_is_added(stage: Stage) -> Done:
    stage.post(added(Membership), {"email": "new@example.com"})
    return in_setup(stage, newest(Membership))


@act("member.added")
def a_member_is_added_by_command(stage: Stage) -> Done:
    run("add_member", "new@example.com", "--workspace", stage.workspace.slug)
    return Done(newest(Membership), None, stage.workspace, Via.COMMAND)


@act("member.invited")
def somebody_is_invited(stage: Stage) -> Done:
    stage.post(added(Membership), {"email": make_user().email})
    return in_setup(stage, newest(Membership))


def _invited(stage: Stage) -> Membership:
    return members.add_member(
        workspace=stage.workspace, email=make_user().email, actor=stage.administrator, now=NOW
    ).membership


@act("member.accepted")
def an_invitation_is_accepted(stage: Stage) -> Done:
    invited = _invited(stage)
    stage.post(reverse("workspaces:invitation_accept", args=[invited.pk]), {}, invited.user)
    return Done(invited, invited.user, stage.workspace, Via.WEB)


@act("member.declined")
def an_invitation_is_declined(stage: Stage) -> Done:
    invited = _invited(stage)
    stage.post(reverse("workspaces:invitation_decline", args=[invited.pk]), {}, invited.user)
    return Done(invited, invited.user, stage.workspace, Via.WEB)


@act("member.roles_changed")
def a_member_gets_another_role(stage: Stage) -> Done:
    member = stage.member()
    role = role_of(stage.workspace, Preset.MARKETER)
    stage.post(change(member), {"roles": [role.pk], "is_active": "on"})
    return in_setup(stage, member)


@act("member.suspended")
def a_member_is_suspended(stage: Stage) -> Done:
    member = stage.member()
    stage.fill(change(member), {"is_active": None})
    return in_setup(stage, member)


@act("member.taken_back")
def a_member_is_taken_back(stage: Stage) -> Done:
    member = stage.member()
    members.set_active(membership=member, active=False, actor=None)
    stage.fill(change(member), {"is_active": "on"})
    return in_setup(stage, member)


@act("member.removed")
def a_member_is_removed(stage: Stage) -> Done:
    member = stage.member()
    stage.post(change(member, "delete"), {"post": "yes"})
    return in_setup(stage, member)


@act("webhook.usage_ended")
def what_a_member_held_ends_when_they_leave(stage: Stage) -> Done:
    member = stage.member()
    stage.granted(members=[member])
    stage.post(change(member, "delete"), {"post": "yes"})
    return in_setup(stage, stage.webhook)


# -- Roles and member groups -----------------------------------------------------------------------


def _own_role(stage: Stage) -> Role:
    return roles.create_role(
        workspace=stage.workspace, name="Own", points={Point.VIEW_DELIVERIES}, actor=None
    )


@act("role.created")
def a_role_is_made(stage: Stage) -> Done:
    stage.post(added(Role), {"name": "Own", "points": [Point.REDELIVER]})
    return in_setup(stage, newest(Role))


@act("role.points_changed")
def a_role_gets_another_point(stage: Stage) -> Done:
    role = _own_role(stage)
    stage.fill(change(role), {"points": [Point.REDELIVER]})
    return in_setup(stage, role)


@act("role.renamed")
def a_role_is_renamed(stage: Stage) -> Done:
    role = _own_role(stage)
    stage.fill(change(role), {"name": "Other"})
    return in_setup(stage, role)


@act("role.deleted")
def a_role_is_deleted(stage: Stage) -> Done:
    role = _own_role(stage)
    stage.post(change(role, "delete"), {"post": "yes"})
    return in_setup(stage, role)


@act("webhook.usage_ended")
def what_a_role_held_ends_when_it_is_deleted(stage: Stage) -> Done:
    role = _own_role(stage)
    stage.granted(roles=[role])
    stage.post(change(role, "delete"), {"post": "yes"})
    return in_setup(stage, stage.webhook)


def _group(stage: Stage) -> MemberGroup:
    return member_groups.create_group(workspace=stage.workspace, name="Team", actor=None)


@act("member_group.created")
def a_member_group_is_made(stage: Stage) -> Done:
    stage.post(added(MemberGroup), {"name": "Team"})
    return in_setup(stage, newest(MemberGroup))


@act("member_group.members_changed")
def a_member_group_is_filled(stage: Stage) -> Done:
    group = _group(stage)
    stage.fill(change(group), {"members": [stage.member().pk]})
    return in_setup(stage, group)


@act("member_group.renamed")
def a_member_group_is_renamed(stage: Stage) -> Done:
    group = _group(stage)
    stage.fill(change(group), {"name": "Other"})
    return in_setup(stage, group)


@act("member_group.deleted")
def a_member_group_is_deleted(stage: Stage) -> Done:
    group = _group(stage)
    stage.post(change(group, "delete"), {"post": "yes"})
    return in_setup(stage, group)


@act("webhook.usage_ended")
def what_a_member_group_held_ends_when_it_is_deleted(stage: Stage) -> Done:
    group = _group(stage)
    stage.granted(groups=[group])
    stage.post(change(group, "delete"), {"post": "yes"})
    return in_setup(stage, stage.webhook)


# -- API keys --------------------------------------------------------------------------------------


@act("api_key.created")
def an_api_key_is_made(stage: Stage) -> Done:
    stage.post(added(ApiKey), {"name": "CRM", "scopes": [Scope.EVENTS_WRITE]})
    return in_setup(stage, newest(ApiKey))


@act("api_key.revoked")
def an_api_key_is_revoked(stage: Stage) -> Done:
    key = api_keys.create(workspace=stage.workspace, name="CRM", scopes=[], actor=None).key
    url = reverse("admin:workspaces_apikey_changelist")
    stage.post(url, {"action": "revoke", "_selected_action": [key.pk]})
    return in_setup(stage, key)


# -- Organizations, workspaces, users --------------------------------------------------------------


@act("organization.created")
def an_organization_is_made(stage: Stage) -> Done:
    page = added(Organization)
    stage.fill(page, {"name": "Other", "slug": "other"}, stage.operator)
    return Done(Organization.objects.get(slug="other"), stage.operator, None)


@act("organization.created")
def an_organization_is_made_by_command(stage: Stage) -> Done:
    run("create_organization", "Other", "--slug", "other")
    return Done(Organization.objects.get(slug="other"), None, None, Via.COMMAND)


@act("organization.changed")
def an_organization_is_renamed(stage: Stage) -> Done:
    organization = stage.workspace.organization
    stage.fill(change(organization), {"name": "Other"}, stage.head)
    return Done(organization, stage.head, None)


@act("organization.administrator_changed")
def an_organization_gets_another_administrator(stage: Stage) -> Done:
    organization = stage.workspace.organization
    line = organization.members.get(user=stage.administrator)
    page = stage.client(stage.head).get(change(organization))
    (inline,) = page.context["inline_admin_formsets"]
    (form,) = [form for form in inline.formset.forms if form.instance == line]
    stage.fill(change(organization), {form.add_prefix("is_administrator"): "on"}, stage.head)
    return Done(line, stage.head, None)


@act("workspace.created")
def a_workspace_is_made(stage: Stage) -> Done:
    organization = stage.workspace.organization.pk
    fields = {"organization": organization, "name": "Other", "slug": "other"}
    stage.fill(added(Workspace), fields, stage.head)
    made = Workspace.objects.get(slug="other")
    return Done(made, stage.head, made)


@act("workspace.created")
def a_workspace_is_made_by_set_up(stage: Stage) -> Done:
    run("setup", "--organization=Other", "--workspace=Other", "--email=new@example.com")
    made = Workspace.objects.get(slug="other")
    return Done(made, None, made, Via.COMMAND)


@act("workspace.changed")
def a_workspace_is_renamed(stage: Stage) -> Done:
    stage.fill(change(stage.workspace), {"name": "Other"})
    return in_setup(stage, stage.workspace)


@act("workspace.sending_stopped")
def sending_is_stopped(stage: Stage) -> Done:
    where = ("--workspace", stage.workspace.slug)
    return by_command(stage, stage.workspace, "stop_sending", "--reason", "wrong", *where)


@act("workspace.sending_resumed")
def sending_goes_on(stage: Stage) -> Done:
    sending_is_stopped(stage)
    where = ("--workspace", stage.workspace.slug)
    return by_command(stage, stage.workspace, "resume_sending", *where)


@act("user.created")
def a_user_is_made(stage: Stage) -> Done:
    password = "correct horse battery"
    fields = {"email": "new@example.com", "password1": password, "password2": password}
    stage.post(added(User), fields, stage.operator)
    return Done(User.objects.get(email="new@example.com"), stage.operator, None)


@act("user.changed")
def a_user_is_deactivated(stage: Stage) -> Done:
    user = make_user()
    stage.fill(change(user), {"is_active": None}, stage.operator)
    assert AuditEntry.objects.latest("pk").changes == {"is_active": [True, False]}
    return Done(user, stage.operator, None)


@act("user.changed")
def a_user_gets_another_password(stage: Stage) -> Done:
    user, password = make_user(), "correct horse battery"
    url = reverse("admin:auth_user_password_change", args=[user.pk])
    fields = {"password1": password, "password2": password}
    stage.post(url, fields, stage.operator)
    assert password not in str(AuditEntry.objects.latest("pk").changes)
    return Done(user, stage.operator, None)


@act("user.deleted")
def a_user_is_deleted(stage: Stage) -> Done:
    user = make_user()
    stage.post(change(user, "delete"), {"post": "yes"}, stage.operator)
    return Done(user, stage.operator, None)


@act("user.operator_made")
def an_operator_is_made(stage: Stage) -> Done:
    run("createsuperuser", "--no-input", "--email", "root@example.com")
    return Done(User.objects.get(email="root@example.com"), None, None, Via.COMMAND)


@act("user.link_made")
def a_link_to_log_in_is_made(stage: Stage) -> Done:
    run("add_member", stage.administrator.email, "--link")
    return Done(stage.administrator, None, None, Via.COMMAND)


@act("user.deactivated")
def the_demos_log_ins_end(stage: Stage) -> Done:
    user = User.objects.create_superuser(email=f"operator@{demo_logins.DOMAIN}")
    run("create_organization", "Other", "--slug", "other")
    return Done(user, None, None, Via.COMMAND)


# -- Webhooks --------------------------------------------------------------------------------------


@act("webhook.created")
def a_webhook_is_registered(stage: Stage) -> Done:
    fields = {
        "name": "Other",
        "url": "https://crm.example.com/",
        "id_types": [stage.scene.mobile.pk],
    }
    stage.fill(added(Webhook), fields)
    return in_setup(stage, newest(Webhook))


@act("webhook.key_made")
def a_webhook_gets_its_first_key(stage: Stage) -> Done:
    a_webhook_is_registered(stage)
    return in_setup(stage, newest(Webhook))


@act("webhook.changed")
def a_webhook_is_changed(stage: Stage) -> Done:
    stage.fill(change(stage.webhook), {"rate_per_second": "7"})
    return in_setup(stage, stage.webhook)


@act("webhook.deleted")
def a_webhook_is_deleted(stage: Stage) -> Done:
    stage.post(change(stage.webhook, "delete"), {"post": "yes"})
    return in_setup(stage, stage.webhook)


@act("webhook.duplicated")
def a_webhook_is_copied(stage: Stage) -> Done:
    stage.post(change(stage.webhook, "duplicate"), {})
    return in_setup(stage, newest(Webhook))


@act("webhook.paused")
def a_webhook_is_paused(stage: Stage) -> Done:
    stage.post(change(stage.webhook, "state"), {"state": "paused"})
    return in_setup(stage, stage.webhook)


@act("webhook.paused")
def a_webhook_is_paused_by_command(stage: Stage) -> Done:
    where = ("--workspace", stage.workspace.slug)
    return by_command(stage, stage.webhook, "webhook", "pause", stage.webhook.name, *where)


@act("webhook.disabled")
def a_webhook_is_disabled(stage: Stage) -> Done:
    stage.post(change(stage.webhook, "state"), {"state": "disabled"})
    return in_setup(stage, stage.webhook)


@act("webhook.active")
def a_webhook_is_resumed(stage: Stage) -> Done:
    a_webhook_is_paused(stage)
    stage.post(change(stage.webhook, "state"), {"state": "active"})
    return in_setup(stage, stage.webhook)


@act("webhook.key_changed")
def a_webhook_gets_another_key(stage: Stage) -> Done:
    stage.post(change(stage.webhook, "key_new"), {"kind": SecretKind.SIGNING})
    return in_setup(stage, stage.webhook)


@act("webhook.key_stored")
def a_key_is_said_to_be_stored(stage: Stage) -> Done:
    a_webhook_gets_another_key(stage)
    secret = keys.valid(stage.webhook, SecretKind.SIGNING, now=timezone.now())[0]
    url = reverse("admin:webhooks_webhook_key", args=[stage.webhook.pk, secret.pk])
    stage.post(url, {})
    return in_setup(stage, stage.webhook)


@act("webhook.usage_granted")
def a_usage_permission_is_given(stage: Stage) -> Done:
    stage.post(change(stage.webhook, "grant"), {"members": [stage.member().pk]})
    return in_setup(stage, stage.webhook)


@act("webhook.usage_granted")
def a_usage_permission_is_given_by_command(stage: Stage) -> Done:
    name, slug = stage.webhook.name, stage.workspace.slug
    arguments = ("grant_webhook", name, "--workspace", slug, "--role", "marketer")
    return by_command(stage, stage.webhook, *arguments)


@act("webhook.usage_changed")
def a_usage_permission_gets_an_end(stage: Stage) -> Done:
    member = stage.member()
    stage.granted(members=[member])
    url = change(stage.webhook, "grant")
    stage.post(url, {"members": [member.pk], "ends_at": "2100-01-01T00:00"})
    return in_setup(stage, stage.webhook)


@act("webhook.usage_ended")
def a_usage_permission_is_ended(stage: Stage) -> Done:
    grant = granting.grants_of(stage.webhook)[0]
    arguments = [stage.webhook.pk, "member", grant.pk]
    stage.post(reverse("admin:webhooks_webhook_grant_end", args=arguments), {})
    return in_setup(stage, stage.webhook)


@act("choicelist.created")
def a_choice_list_is_made(stage: Stage) -> Done:
    stage.fill(added(ChoiceList), {"name": "Colours"})
    return in_setup(stage, newest(ChoiceList))


@act("choicelist.changed")
def a_choice_list_is_changed(stage: Stage) -> Done:
    made = make_choice_list(stage.workspace, "red")
    stage.fill(change(made), {"choices-0-label": "Blue"})
    return in_setup(stage, made)


@act("choicelist.deleted")
def a_choice_list_is_deleted(stage: Stage) -> Done:
    made = make_choice_list(stage.workspace, "red")
    stage.post(change(made, "delete"), {"post": "yes"})
    return in_setup(stage, made)


# -- Journeys --------------------------------------------------------------------------------------


@act("journey.created")
def a_journey_is_made(stage: Stage) -> Done:
    member = stage.scene.member
    url = reverse("journeys:create", args=[stage.workspace.slug])
    stage.post(url, {"name": "New", "start": "audience"}, member)
    return Done(newest(Journey), member, stage.workspace, Via.WEB)


@act("journey.duplicated")
def a_journey_is_copied(stage: Stage) -> Done:
    of_journey(stage, stage.scene.journey(), "duplicate")
    return Done(newest(Journey), stage.scene.member, stage.workspace, Via.WEB)


@act("journey.renamed")
def a_journey_is_renamed(stage: Stage) -> Done:
    journey = stage.scene.journey()
    return of_journey(stage, journey, "rename", name="Other", revision=str(journey.draft_revision))


@act("journey.published")
def a_journey_is_published(stage: Stage) -> Done:
    journey = stage.scene.journey()
    url = reverse("journeys:publish", args=[stage.workspace.slug, journey.pk])
    shown = stage.client(stage.scene.member).get(url, {"count": ""})
    return of_journey(stage, journey, "publish", seen=shown.context["seen"])


@act("journey.paused")
def a_journey_is_paused(stage: Stage) -> Done:
    return of_journey(stage, stage.published(), "pause")


@act("journey.resumed")
def a_journey_is_resumed(stage: Stage) -> Done:
    journey = stage.published()
    of_journey(stage, journey, "pause")
    return of_journey(stage, journey, "resume")


@act("journey.stopped")
def a_journey_is_stopped(stage: Stage) -> Done:
    return of_journey(stage, stage.published(), "stop", inside="take_out")


@act("journey.paused")
def a_journey_is_paused_by_command(stage: Stage) -> Done:
    journey = stage.published()
    return by_command(stage, journey, "journeys", "pause", journey.pk)


@act("journey.archived")
def a_journey_is_archived(stage: Stage) -> Done:
    return of_journey(stage, stage.scene.journey(), "archive")


@act("journey.unarchived")
def a_journey_is_brought_back(stage: Stage) -> Done:
    journey = stage.scene.journey()
    of_journey(stage, journey, "archive")
    return of_journey(stage, journey, "archive", restore="1")


# -- The walk --------------------------------------------------------------------------------------


@pytest.fixture
def stage() -> Stage:
    return make_stage()


def make_stage() -> Stage:
    cache.clear()
    scene = make_scene()
    return Stage(
        scene,
        administrator=make_administrator(scene.workspace),
        head=make_head(scene.workspace.organization),
        operator=make_operator(),
    )


@dataclass
class Walk:
    """The rows that this process has walked so far, and the code that they ran."""

    rows: set[str] = field(default_factory=set)
    code: set[CodeType] = field(default_factory=set)

    def take(self, name: str, stage: Stage) -> Done:
        _action, function = ACTS[name]

        def note(frame: FrameType, event: str, _argument: object) -> None:
            if event == "call":
                self.code.add(frame.f_code)

        sys.setprofile(note)
        try:
            return function(stage)
        finally:
            sys.setprofile(None)
            self.rows.add(name)


@pytest.fixture(scope="module")
def walk() -> Walk:
    return Walk()


@pytest.mark.parametrize("name", ACTS)
def test_an_act_leaves_its_entry(stage: Stage, walk: Walk, name: str) -> None:
    action, _function = ACTS[name]
    before = AuditEntry.objects.latest("pk").pk

    done = walk.take(name, stage)

    entry = AuditEntry.objects.filter(pk__gt=before, action=action).latest("pk")
    assert entry.object_type == done.obj._meta.label_lower
    # Deleted, an object has lost its number; its name tells it.
    assert done.obj.pk is None or entry.object_id == str(done.obj.pk)
    assert entry.object_label
    assert (entry.actor, entry.workspace, entry.via) == (done.actor, done.workspace, done.via)


def test_every_recorded_action_has_a_row() -> None:
    recorded = {action for path in _sources() for action in _actions(path)}
    walked = {action for action, _function in ACTS.values()}

    missing = {
        action
        for action in recorded
        if not any(fnmatchcase(each, action) for each in walked)
        and not any(fnmatchcase(action, each) for each in OTHER_ACTIONS)
    }

    assert not missing, f"Add a row to ACTS for: {sorted(missing)}"
    assert len(recorded) > 30


def test_everything_the_set_up_writes_has_a_row(stage: Stage) -> None:
    request = RequestFactory().get("/")
    request.user = stage.operator
    request.session = stage.client(stage.operator).session
    walked = {action for action, _function in ACTS.values()}
    missing = set()
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label not in APPS or not getattr(model_admin, "audited", True):
            continue  # The data of people; and what core functions record, which is above.
        for may, what in (
            (model_admin.has_add_permission, "created"),
            (model_admin.has_change_permission, "changed"),
            (model_admin.has_delete_permission, "deleted"),
        ):
            if may(request) and f"{model._meta.model_name}.{what}" not in walked:
                missing.add(f"{model._meta.model_name}.{what}")

    assert not missing, f"Add a row to ACTS for: {sorted(missing)}"


def test_every_function_that_takes_an_actor_is_walked(walk: Walk) -> None:
    # Other rows may have been walked by another process, or not been asked for.
    for name in sorted(set(ACTS) - walk.rows):
        with transaction.atomic():
            walk.take(name, make_stage())
            transaction.set_rollback(True)

    missing = {
        name
        for name, function in _functions()
        if name not in OTHER_FUNCTIONS and function.__code__ not in walk.code
    }

    assert not missing, f"Add a row to ACTS that calls: {sorted(missing)}"


def _sources() -> Iterator[Path]:
    for app in APPS:
        yield from sorted((ROOT / app).rglob("*.py"))


def _actions(path: Path) -> Iterator[str]:
    """Yield the actions that a file records, with ``*`` for what it puts in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for scope in ast.walk(tree):
        if not isinstance(scope, ast.FunctionDef):
            continue
        assigned = {
            target.id: node.value
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("audit.record"):
                (value,) = [each.value for each in node.keywords if each.arg == "action"]
                value = assigned.get(value.id, value) if isinstance(value, ast.Name) else value
                yield from _texts(value)


def _texts(value: ast.expr) -> Iterable[str]:
    if isinstance(value, ast.Constant):
        return [str(value.value)]
    if isinstance(value, ast.IfExp):
        return [*_texts(value.body), *_texts(value.orelse)]
    assert isinstance(value, ast.JoinedStr), f"Which action is {ast.unparse(value)}?"
    return [
        "".join(str(each.value) if isinstance(each, ast.Constant) else "*" for each in value.values)
    ]


def _functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the core functions that act for somebody: those that take an ``actor`` or ``user``."""
    for app in APPS:
        package = importlib.import_module(app)
        for found in pkgutil.iter_modules(package.__path__, f"{app}."):
            module = importlib.import_module(found.name)
            parameter = "user" if found.name.split(".")[-1] in _FOR_A_USER else "actor"
            for name, each in vars(module).items():
                function = inspect.unwrap(each) if callable(each) else None
                if (
                    inspect.isfunction(function)
                    and function.__module__ == module.__name__
                    and not name.startswith(("_", "check_", "require"))
                    and parameter in inspect.signature(function).parameters
                ):
                    yield f"{module.__name__}.{name}", function


_FOR_A_USER: Final = frozenset({"drafts", "publishing", "runs"})


def test_every_act_has_words_in_both_languages() -> None:
    actions = {action for action, _function in ACTS.values()} | {
        "audience.rules_changed",
        "audience.imported",
        "delivery.exported",
        "delivery.given_up",
        "delivery.held",
        "delivery.pruned",
        "delivery.released",
        "delivery.redelivery_ordered",
        "event.pruned",
        "events.imported",
        "identifiers.imported",
        "tags.imported",
        "testsend.pruned",
        "webhook.tested",
        "webhooksecret.rotated",
    }
    words = {}
    for language in ("en", "zh-hans"):
        with translation.override(language):
            words[language] = {action: audit_words.act(action) for action in actions}

    assert [one for one in actions if words["en"][one] == one] == []
    assert [one for one in actions if words["zh-hans"][one] == words["en"][one]] == []
    assert words["en"]["journey.published"] == "Journey: published"
