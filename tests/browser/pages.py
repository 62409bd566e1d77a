"""Every page of the product: how the browser gets there, or why an address is no page.

``test_every_page.py`` walks them. The pages of a model in the set-up need no row.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import reverse
from playwright.sync_api import Page

from tests.browser.shop import Shop
from tests.test_permissions import PAGES as PAGES_OF_A_MODEL
from webhooks.models import Delivery
from workspaces.admin.base import ScopedModelAdmin
from workspaces.models import Organization, User

ADMINISTRATOR: Final = "administrator"


@dataclass(frozen=True)
class Step:
    """One click on what leads on, after the fields were filled and somebody else did something.

    A field for a file is given what stands in the file.
    """

    click: str
    fields: tuple[tuple[str, str], ...] = ()
    seen: str = "dialog[open], aside.panel"
    meanwhile: Callable[[Shop], object] | None = None


@dataclass(frozen=True)
class Row:
    """One address as one visitor sees it; ``on`` names the page that shows it as its part.

    ``before`` changes the shop for this row and those after it; ``network`` what the browser
    reaches once the page is there. ``narrow`` are the steps when the window has become a phone's,
    for a menu whose button is gone there; ``widths`` those in which there is anything to see.
    """

    name: str
    arguments: tuple[str, ...] = ()
    visitor: str = ADMINISTRATOR
    query: str = ""
    on: str = ""
    steps: tuple[Step, ...] = ()
    status: int = 200
    as_: str = ""
    before: Callable[[Shop], object] | None = None
    network: Callable[[Page], object] | None = None
    narrow: tuple[Step, ...] = ()
    widths: tuple[int, ...] = (1280, 390)

    @property
    def title(self) -> str:
        """Tell rows and pictures apart."""
        return self.as_ or self.name.replace(":", "_")


def page(name: str, /, *arguments: str, **more: Any) -> Row:
    return Row(name, arguments, **more)


def part(name: str, on: str, arguments: tuple[str, ...], *steps: Step, **more: Any) -> Row:
    return Row(name, arguments, on=on, steps=steps, **more)


# A click on whatever asks this address; {} stands for it.
ASKS: Final = '[hx-get="{0}"]:visible, [hx-get^="{0}?"]:visible, [hx-post="{0}"]:visible'
_DRAFT: Final = ("slug", "draft")
_DRAFT_STEP: Final = (*_DRAFT, "step")
_RUN: Final = ("slug", "running", "run")
_WITHOUT_TOKEN: Final = "[name=csrfmiddlewaretoken]"


def asking(name: str, **more: Any) -> Step:
    return Step(f"@{name}", **more)


PANEL: Final = asking("journeys:panel", seen="aside.panel")
# The caret stands behind a blank.
VARIABLE: Final = asking(
    "journeys:variable",
    fields=(("aside.panel [data-variables]", "Dear ${name} Hello "),),
)
TEST: Final = asking("journeys:test", seen="#dialog-wide[open] [name=typed_id]")


NAVIGATION: Final = Step(".header-menu", seen=".nav:popover-open")


def opened(button: str) -> Step:
    return Step(f"{button}:visible", seen=".menu:popover-open")


def menu(as_: str, on: str, *arguments: str, opens: Step, **more: Any) -> Row:
    """A page whose menu is open."""
    return page(on, *arguments, **{"as_": as_, "steps": (opens,)} | more)


def drawer(as_: str, on: str, *arguments: str) -> Row:
    """A page whose navigation is open, which is in sight by itself where there is room."""
    return page(on, *arguments, as_=as_, narrow=(NAVIGATION,), widths=(390,))


_WORKSPACES: Final = opened("[popovertarget^=menu-workspaces]")
_ADD: Final = opened("[popovertarget=menu-add]")
_STEP_MENU: Final = opened("[popovertarget=menu-step]")
_OF_AUDIENCES: Final = opened(".table [popovertarget]")
CONSOLE: Final = (
    # Within five minutes of the log-in, as these ask the password again later.
    page("mfa_index", visitor="secured"),
    page("mfa_deactivate_totp", visitor="secured"),
    page("mfa_view_recovery_codes", visitor="secured"),
    page("mfa_generate_recovery_codes", visitor="secured"),
    page("mfa_authenticate", visitor="half"),
    page("mfa_index", as_="mfa_index_off"),
    page("mfa_activate_totp"),
    page("account_set_password", visitor="newcomer"),
    page("workspaces:start", visitor="secured", as_="no_workspace"),
    page("workspaces:notices", visitor="newcomer", as_="invited"),
    page("account_logout"),
    page("account_change_password"),
    page("account_reauthenticate"),
    page("mfa_reauthenticate", visitor="secured"),
    page("account_login", visitor="anonymous"),
    page("account_signup", visitor="anonymous"),
    page("account_inactive", visitor="anonymous"),
    page("account_reset_password", visitor="anonymous"),
    page("account_reset_password_done", visitor="anonymous"),
    page(
        "account_reset_password_from_key", "no user", "no key", visitor="anonymous", as_="link_old"
    ),
    page("account_reset_password_from_key", "new user", "new key", visitor="anonymous"),
    page("account_reset_password_from_key_done", visitor="anonymous"),
    # What goes wrong.
    page("workspaces:home", "no slug", status=404, as_="error_404"),
    page("admin:index", visitor="marketer", status=403, as_="error_403"),
    # The console.
    page("workspaces:settings"),
    page("workspaces:notices"),
    page("api_docs"),
    page("journeys:list", "slug"),
    page("journeys:list", "slug", query="?q=nothing", as_="journeys_list_no_match"),
    page("journeys:list", "new slug", visitor="starter", as_="journeys_list_first_use"),
    part("journeys:create", "journeys:list", ("slug",), asking("journeys:create")),
    drawer("navigation", "journeys:list", "slug"),
    drawer("navigation_set_up", "admin:webhooks_webhook_changelist"),
    menu(
        "menu_user",
        "journeys:list",
        "slug",
        opens=opened("[popovertarget=menu-user]"),
        widths=(1280,),
    ),
    menu(
        "menu_workspaces",
        "journeys:list",
        "slug",
        opens=_WORKSPACES,
        narrow=(NAVIGATION, _WORKSPACES),
    ),
    menu("menu_journey", "journeys:list", "slug", opens=opened(".table [popovertarget^=menu-]")),
    menu("menu_add", "journeys:editor", *_DRAFT, opens=_ADD, narrow=(_ADD,)),
    menu("menu_views", "journeys:editor", *_DRAFT, opens=opened("[popovertarget=menu-views]")),
    menu("menu_step", "journeys:editor", *_DRAFT_STEP, opens=_STEP_MENU, steps=(PANEL, _STEP_MENU)),
    menu("menu_time", "journeys:deliveries", "slug", opens=opened("[popovertarget=time-span]")),
    menu("menu_audiences", "journeys:audiences", "slug", opens=_OF_AUDIENCES),
    menu(
        "menu_audience",
        "journeys:audience",
        "slug",
        "audience",
        opens=opened(".header-actions [popovertarget^=menu-]"),
    ),
    page("journeys:editor", *_DRAFT),
    page("journeys:editor", "slug", "running", as_="journeys_editor_running"),
    page("journeys:editor", "slug", "listening", as_="journeys_editor_listening"),
    part("journeys:rename", "journeys:editor", _DRAFT, asking("journeys:rename")),
    part("journeys:publish", "journeys:editor", _DRAFT, asking("journeys:publish")),
    part("journeys:panel", "journeys:editor", (*_DRAFT, "step"), PANEL),
    part("journeys:panel", "journeys:editor", (*_DRAFT, "start"), PANEL, as_="panel_start"),
    part(
        "journeys:panel",
        "journeys:editor",
        ("slug", "listening", "listening start"),
        PANEL,
        as_="panel_event",
    ),
    part(
        "journeys:panel",
        "journeys:editor",
        ("slug", "listening", "listening start"),
        PANEL,
        Step("aside.panel [hx-vals*=add_condition]", seen="[data-condition]"),
        as_="panel_event_condition",
    ),
    part(
        "journeys:panel",
        "journeys:editor",
        _DRAFT_STEP,
        PANEL,
        Step("aside.panel summary[hx-post]", seen="#live-preview .preview"),
        Step("#live-preview .preview dt", seen="#live-preview .preview"),  # Scrolled to.
        as_="panel_request",
    ),
    part(
        "journeys:variable",
        "journeys:editor",
        (*_DRAFT, "step"),
        PANEL,
        VARIABLE,
    ),
    part(
        "journeys:variable",
        "journeys:editor",
        _DRAFT_STEP,
        PANEL,
        VARIABLE,
        Step("#dialog [type=submit]", seen="aside.panel .chips > :nth-child(2)"),
        as_="variable_inserted",
    ),
    part("journeys:test", "journeys:editor", (*_DRAFT, "step"), PANEL, TEST),
    part(
        "journeys:test_send",
        "journeys:editor",
        (*_DRAFT, "step"),
        PANEL,
        TEST,
        Step(
            "#dialog-wide [type=submit]",
            (("#dialog-wide [name=typed_id]", "13800000001"),),
            "#dialog-wide .verdict",
        ),
    ),
    # What stands in the way.
    part(
        "journeys:publish",
        "journeys:editor",
        ("slug", "gaps"),
        Step("@journeys:publish", seen="dialog[open] a[href], dialog[open] [hx-get]"),
        as_="publish_gaps",
    ),
    part(
        "journeys:panel",
        "journeys:editor",
        ("slug", "gaps", "gaps step"),
        PANEL,
        visitor="beginner",
        as_="panel_no_usable_webhook",
    ),
    part(
        "journeys:panel",
        "journeys:editor",
        (*_DRAFT, "step"),
        PANEL,
        visitor="analyst",
        as_="panel_read_only",
    ),
    page("journeys:editor", *_DRAFT, visitor="analyst", as_="editor_read_only"),
    page("journeys:run", "slug", "paused", "paused run", as_="run_paused"),
    page("journeys:run", "slug", "finished", "finished run", as_="run_finished"),
    page("journeys:run", *_RUN, visitor="analyst", as_="run_read_only"),
    page("journeys:run", *_RUN),
    page("journeys:audiences", "slug"),
    page("journeys:audiences", "slug", visitor="marketer", as_="audiences_read_only"),
    page("journeys:audiences", "slug", query="?q=nothing", as_="audiences_no_match"),
    page("journeys:audiences", "new slug", visitor="starter", as_="audiences_none_yet"),
    part(
        "journeys:audience_create",
        "journeys:audiences",
        ("slug",),
        asking("journeys:audience_create"),
    ),
    part(
        "journeys:audience_rename",
        "journeys:audiences",
        ("slug",),
        _OF_AUDIENCES,
        Step(".menu:popover-open [hx-get$='/rename/']"),
    ),
    page("journeys:audience_new", "slug"),
    page("journeys:audience", "slug", "audience"),
    page("journeys:audience", "slug", "rules", as_="audience_rules"),
    page("journeys:audience", "slug", "rules", visitor="marketer", as_="audience_read_only"),
    page("journeys:audience_upload", "slug", "audience"),
    page("journeys:deliveries", "slug"),
    page("journeys:deliveries", "slug", query="?state=dead", as_="deliveries_no_match"),
    part("journeys:send_again", "journeys:deliveries", ("slug",), asking("journeys:send_again")),
    page("journeys:why", "slug", "finished", "finished run", "person"),
    page("journeys:events", "slug"),
    page("journeys:events", "new slug", visitor="starter", as_="events_first_use"),
    page("journeys:events", "slug", query="?person=0", as_="events_no_match"),
    page("journeys:people", "slug"),
    page("journeys:people", "new slug", visitor="starter", as_="people_first_use"),
    page("journeys:person_page", "slug", "person"),
    page("journeys:versions", "slug", "running"),
    part("journeys:pause", "journeys:run", _RUN, asking("journeys:pause")),
    part("journeys:stop", "journeys:run", _RUN, asking("journeys:stop")),
    part(
        "journeys:person",
        "journeys:run",
        _RUN,
        Step("#person-title ~ form [type=submit]", (("[name=id]", "13800000001"),), ".verdict"),
    ),
)
SET_UP: Final = (
    page("admin:index"),
    page("admin:index", visitor="starter", as_="admin_index_first_use"),
    page("admin:webhooks_webhook_changelist", visitor="starter", as_="webhooks_first_use"),
    page("admin:identity_audience_changelist", visitor="starter", as_="audiences_first_use"),
    page("admin:index", visitor="operator", as_="admin_index_operator"),
    page("admin:app_list", "app"),
    page("admin:password_change_done"),
    page("admin:auth_user_password_change", "operator", visitor="operator"),
    page("admin:workspaces_membership_changelist", query="?q=nobody", as_="admin_no_match"),
    page("admin:webhooks_webhook_key", "webhook", "secret"),
    page("admin:webhooks_webhook_guide", "webhook"),
    part(
        "admin:webhooks_webhook_test",
        "admin:webhooks_webhook_change",
        ("webhook",),
        Step("[data-dialog=test]:visible", seen="dialog[open] [type=submit]"),
    ),
    page("admin:webhooks_webhook_test", "webhook", as_="webhook_test_page"),
)

# Django's and allauth's words, of which some have no Chinese; names of headers and keys; and the
# codes under which the audit trail keeps what was done; an account's name of the test.
PARTLY_ENGLISH: Final = re.compile(
    r"api_docs|.*_guide|.*_history|.*_auditentry_.*|.*_user_.*|.*_organization_.*"
    r"|.*_emailaddress_.*|.*_authenticator_change(list)?"
)

_DRAWN_WITH: Final = "A fragment without text of its own: drawn with the page around it."
_ORDER: Final = "POST alone: it does something and leads on to a page."
_REDIRECT: Final = "It leads on to another page."
NO_PAGE: Final = {
    "api_events": "The API.",
    "api_receipts": "The API.",
    "api_schema": "The API's description, for machines.",
    "mfa_download_recovery_codes": "A text file.",
    "admin:webhooks_webhook_guide_markdown": "A text file.",
    "journeys:export": "A file.",
    "admin:jsi18n": "A script.",
    "admin:autocomplete": "JSON for a field.",
    "admin:login": _REDIRECT,
    "admin:logout": _REDIRECT,
    "admin:password_change": _REDIRECT,
    "workspaces:home": _REDIRECT,
    "journeys:canvas": _DRAWN_WITH,
    "journeys:event_summary": _DRAWN_WITH,
    "journeys:people_census": _DRAWN_WITH,
    "journeys:person_audiences": _DRAWN_WITH,
    "journeys:numbers": _DRAWN_WITH,
    "journeys:others": _DRAWN_WITH,
    "journeys:audience_people": _DRAWN_WITH,
    "journeys:audience_rows": _DRAWN_WITH,
    "journeys:audience_said": _DRAWN_WITH,
    "journeys:audience_count": _DRAWN_WITH,
    "journeys:audience_look": _DRAWN_WITH,
    "journeys:audience_rejects": "A file.",
    "journeys:run_numbers": _DRAWN_WITH,
    "journeys:orders": _DRAWN_WITH,
    "journeys:preview": _DRAWN_WITH,
    "journeys:coverage": _DRAWN_WITH,
    "journeys:start_people": _DRAWN_WITH,
    "journeys:variable_preview": _DRAWN_WITH,
    "journeys:variable_rates": _DRAWN_WITH,
    "journeys:test_values": _DRAWN_WITH,
    "admin:webhooks_webhook_preview": _DRAWN_WITH,
    **dict.fromkeys(
        (
            "workspaces:language",
            "workspaces:notices_read",
            "workspaces:notice_open",
            "workspaces:invitation_accept",
            "workspaces:invitation_decline",
            "journeys:duplicate",
            "journeys:archive",
            "journeys:version_restore",
            "journeys:audience_duplicate",
            "journeys:audience_delete",
            "journeys:resume",
            "journeys:undo",
            "journeys:change_start",
            "journeys:step_add",
            "journeys:step_paste",
            "journeys:step_duplicate",
            "journeys:step_move",
            "journeys:step_delete",
            "journeys:variable_insert",
            "journeys:test_cancel",
            "admin:webhooks_webhook_key_new",
            "admin:webhooks_webhook_test_cancel",
            "admin:webhooks_webhook_grant",
            "admin:webhooks_webhook_grant_end",
            "admin:webhooks_webhook_state",
            "admin:webhooks_webhook_duplicate",
        ),
        _ORDER,
    ),
}


def is_drawn_with(name: str) -> bool:
    return NO_PAGE.get(name) == _DRAWN_WITH


def of_models(shop: Shop) -> Iterator[tuple[Row, str]]:
    """Return each page of each model in the set-up, with its address."""
    for model, model_admin in admin.site._registry.items():
        is_tenants = isinstance(model_admin, ScopedModelAdmin) and model is not Organization
        visitor = ADMINISTRATOR if is_tenants else "operator"
        for kind in PAGES_OF_A_MODEL:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}"
            arguments = [] if kind in ("changelist", "add") else [quote(_one_of(shop, model).pk)]
            yield Row(name, visitor=visitor), reverse(name, args=arguments)


def _one_of(shop: Shop, model: type[Model]) -> Model:
    home = shop.scene.workspace
    found: Model | None
    if model is User:
        return shop.administrator
    if model is Organization:
        return home.organization
    rows = model._default_manager.all()
    model_admin = admin.site.get_model_admin(model)
    if isinstance(model_admin, ScopedModelAdmin):
        rows = rows.filter(**{model_admin.workspace_lookup: home.pk})
    if model is Delivery:
        rows = rows.exclude(sent_id="")
    found = rows.first()
    assert found is not None, f"The shop has no {model._meta.label}."
    return found


def key_of(user: User) -> dict[str, str]:
    """Return what stands in a new link to set a password."""
    return {
        "new user": user_pk_to_url_str(user),
        "new key": default_token_generator.make_token(user),
    }
