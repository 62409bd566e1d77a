"""The states that a page or fragment comes into when others act, fields are wrong, things are big.

What happens in the shop for a row stays for the rows after it.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from django.utils import timezone
from playwright.sync_api import Page, Route

from identity.models import Audience
from journeys import drafts, ending, runner
from journeys.components.audience import AudienceConfig
from journeys.components.event import EventConfig
from journeys.definition import Document
from journeys.definition import Step as DrawnStep
from journeys.models import Journey, Run
from tests.browser.pages import PANEL, TEST, Row, Step, asking, opened, page, part
from tests.browser.shop import Shop, publish
from tests.identity.factories import make_audience, make_event_type
from tests.journeys.factories import take_point
from tests.locking import impatient, unreadable
from tests.webhooks.factories import make_webhook
from webhooks import control, registering
from webhooks.choices import BreakerState, ParameterType
from webhooks.models import Parameter, TestSend, WebhookControl
from webhooks.receiver.behaviour import Behaviour, Mode
from webhooks.receiver.server import Options

NAME_LENGTH: Final = 200
PARAMETERS: Final = 50


def _draft(shop: Shop, name: str) -> tuple[Journey, Document]:
    journey = Journey.objects.select_related("workspace").get(pk=shop.values[name])
    return journey, Document.from_json(journey.draft)


def _save(shop: Shop, name: str, step: DrawnStep, config: Any = None, *, called: str = "") -> None:
    journey, _document = _draft(shop, name)
    drafts.save_step(
        journey=journey,
        revision=journey.draft_revision,
        user=shop.scene.member,
        key=step.key,
        name=called or step.name,
        config=step.config if config is None else config,
        now=timezone.now(),
    )


def _save_start(shop: Shop, name: str, config: Any) -> None:
    start = _draft(shop, name)[1].start
    assert start is not None
    _save(shop, name, start, config.to_json())


def changes_the_step(shop: Shop) -> None:
    _save(
        shop,
        "draft",
        _draft(shop, "draft")[1].steps[0],
        called=shop.word("Send the coupon again"),
    )


def changes_the_words(shop: Shop) -> None:
    for name in ("draft", "paused"):
        step = _draft(shop, name)[1].steps[0]
        values = {"content": shop.word("Customer")}
        _save(shop, name, step, {**step.config, "values": values, "variables": {}})


def sends_two_messages(shop: Shop) -> None:
    scene = shop.scene
    name = shop.word("Coupon for the holidays")
    journey = scene.journey(name=name, steps=[scene.config(), scene.config()])
    for step in journey.draft["steps"]:
        step["name"] = shop.word("Send the coupon again")
    run = publish(shop, journey, "Coupon for the holidays")
    while run.state != "running":
        runner.sweep(now=timezone.now())
        run.refresh_from_db()
    shop.values |= {"long": run.journey_id, "long run": run.pk}


def registers_a_webhook_more(shop: Shop) -> None:
    home, url = shop.scene.workspace, shop.scene.webhook.url
    unused = make_webhook(home, name=shop.word("Shop system"), url=url)
    shop.values["unused"] = unused.pk


def tests_nothing(shop: Shop) -> None:
    TestSend.objects.all().delete()


def deletes_the_step(shop: Shop) -> None:
    journey, document = _draft(shop, "finished")
    drafts.delete_step(
        journey=journey,
        revision=journey.draft_revision,
        user=shop.scene.member,
        key=document.steps[0].key,
        now=timezone.now(),
    )


def changes_the_rules(shop: Shop) -> None:
    Audience.objects.filter(pk=shop.values["rules"]).update(updated_at=timezone.now())


def chooses_people_without_ids(shop: Shop) -> None:
    name = shop.word("People without an ID")
    nobody = make_audience(shop.scene.workspace, name=name, people=[shop.scene.person()])
    _save_start(shop, "draft", AudienceConfig(audiences=(nobody.pk,)))


def chooses_an_event_that_never_came(shop: Shop) -> None:
    event_type = make_event_type(shop.scene.workspace, "signup", name=shop.word("Sign-up"))
    _save_start(shop, "listening", EventConfig(event_type=event_type.pk))


def has_a_paused_webhook(shop: Shop) -> None:
    _save_start(shop, "draft", AudienceConfig(audiences=(shop.scene.audience.pk,)))
    control.pause(webhook=shop.scene.webhook, actor=shop.administrator, now=timezone.now())


def stops_sending(shop: Shop) -> None:
    home = shop.scene.workspace
    home.sending_stopped_at = timezone.now()
    home.sending_stopped_reason = shop.word("Stock-taking")
    home.save()


def fails(shop: Shop) -> None:
    run = Run.objects.select_related("journey").get(pk=shop.values["run"])
    ending.fail(run, reason="broken", now=timezone.now())


def loses_the_right(shop: Shop) -> None:
    take_point(shop.scene)


def is_offline(page: Page) -> None:
    page.context.set_offline(True)


def counts_for_ever(page: Page) -> None:
    page.route("**/publish/?count", lambda _route: None)


def loses_the_connection(page: Page) -> None:
    page.route("**/steps/**", lambda route: route.abort())


def _parts(page: Page, answer: Callable[[Route], object]) -> None:
    """Let the page come again as it does, and what it asks for by itself be answered otherwise."""

    def handle(route: Route) -> None:
        if "hx-request" in route.request.headers:
            answer(route)
        else:
            route.fallback()

    page.route("**/*", handle)
    page.reload()


def never_gets_its_parts(page: Page) -> None:
    _parts(page, lambda _route: None)


def gets_none_of_its_parts(page: Page) -> None:
    _parts(page, lambda route: route.fulfill(status=500))


def cannot_read_who_was_sent_to(page: Page) -> None:
    with impatient(), unreadable("webhooks_chunk"):
        page.reload()


def is_refused(shop: Shop) -> None:
    shop.receiver.configure({"/coupons": Options(behaviour=Behaviour(mode=Mode.FAILING))})


def is_left_alone(shop: Shop) -> None:
    """Let the webhook's receiver have been in trouble for some minutes."""
    now = timezone.now()
    WebhookControl.objects.filter(webhook=shop.scene.webhook).update(
        breaker=BreakerState.OPEN,
        breaker_opened_at=now - timedelta(minutes=4),
        breaker_until=now + timedelta(hours=1),
        breaker_reason="status_503",
    )


def is_full(shop: Shop) -> None:
    """Give everything a name as long as names can be, and the webhook as many parameters."""
    scene = shop.scene
    long = (shop.word("Coupon for the holidays") + " ") * NAME_LENGTH
    for thing in (
        Journey.objects.get(pk=shop.values["draft"]),
        Journey.objects.get(pk=shop.values["paused"]),
        scene.audience,
        scene.webhook,
        scene.workspace,
    ):
        length = thing._meta.get_field("name").max_length or NAME_LENGTH
        thing.name = long[:length].strip()
        thing.save(update_fields=["name"])
    _save(shop, "draft", _draft(shop, "draft")[1].steps[0], called=long[:NAME_LENGTH].strip())
    scene.webhook.refresh_from_db()
    for number in range(1, PARAMETERS):
        Parameter.objects.create(
            webhook=scene.webhook,
            name=f"p_{number}",
            display_name=long[:NAME_LENGTH].strip(),
            type=list(ParameterType)[number % 4],
            required=number % 2 == 0,
            order=number,
        )
    registering.settle(webhook=scene.webhook, actor=None, now=timezone.now())


_DRAFT: Final = ("slug", "draft")
_DRAFT_STEP: Final = ("slug", "draft", "step")
_OK: Final = "aside.panel [type=submit]"
_NOTICE: Final = "aside.panel .notice[role=alert]"
_NOBODY: Final = "main .notice:not(#offline)"
_FILE: Final = "#upload [type=file]"
_PEOPLE: Final = "MOBILE\n13800000001\n13800000001\nx\n"
_FILLED: Final = "#dialog-wide [type=submit]"
_PUBLISH: Final = asking("journeys:publish", seen=_FILLED)
_TRY_AGAIN: Final = "main .notice:not(#offline) .button-link"
# Pages that ask for a part of theirs once they are there.
_WITH_PARTS: Final = (
    ("people", "journeys:people", ("slug",)),
    ("person", "journeys:person_page", ("slug", "person")),
    ("audience", "journeys:audience", ("slug", "audience")),
    ("events", "journeys:events", ("slug",)),
)


def panel(as_: str, *steps: Step, arguments: tuple[str, ...] = _DRAFT_STEP, **more: Any) -> Row:
    return part("journeys:panel", "journeys:editor", arguments, *steps, as_=as_, **more)


STATES: Final = (
    # First use, no match, no permission, read-only.
    page("journeys:deliveries", "new slug", visitor="starter", as_="deliveries_first_use"),
    page("journeys:versions", *_DRAFT, as_="versions_none_yet"),
    page("journeys:people", "slug", visitor="marketer", status=403, as_="people_no_permission"),
    page("journeys:list", "slug", visitor="analyst", as_="journeys_list_read_only"),
    page(
        "journeys:people",
        "slug",
        steps=(Step("main form [type=submit]", (("main [name=id]", "0"),), _NOBODY),),
        as_="people_nobody",
    ),
    part(
        "journeys:person",
        "journeys:run",
        ("slug", "running", "run"),
        Step(
            "#person-title ~ form [type=submit]",
            (("[name=id]", "0"),),
            _NOBODY,
        ),
        as_="person_nobody",
    ),
    # Offline, slow, failed.
    page(
        "journeys:run",
        "slug",
        "running",
        "run",
        steps=(Step("h1", seen="#offline"),),
        as_="run_offline",
        network=is_offline,
    ),
    part(
        "journeys:publish",
        "journeys:editor",
        _DRAFT,
        asking("journeys:publish", seen="#dialog-wide .slow-note"),
        as_="publish_slow",
        network=counts_for_ever,
    ),
    panel(
        "panel_failed",
        asking("journeys:panel", seen="#toasts .toast-error button:not([data-close-toast])"),
        network=loses_the_connection,
    ),
    # Loading, and what does not come.
    part(
        "journeys:create",
        "journeys:list",
        ("slug",),
        asking("journeys:create", seen="dialog[open] .skeleton"),
        as_="create_loading",
        network=never_gets_its_parts,
    ),
    panel(
        "panel_loading",
        asking("journeys:panel", seen="aside.panel .skeleton"),
        network=never_gets_its_parts,
    ),
    page(
        "journeys:people",
        "slug",
        as_="people_slow",
        steps=(Step("h1", seen="main .slow-note"),),
        network=never_gets_its_parts,
    ),
    *(
        page(
            name,
            *arguments,
            as_=f"{title}_part_failed",
            steps=(Step("h1", seen=_TRY_AGAIN),),
            network=gets_none_of_its_parts,
        )
        for title, name, arguments in _WITH_PARTS
    ),
    page(
        "journeys:audiences",
        "slug",
        as_="audiences_part_failed",
        steps=(Step("h1", seen="main .button-link"),),
        network=gets_none_of_its_parts,
    ),
    page(
        "journeys:run",
        "slug",
        "running",
        "run",
        as_="run_numbers_failed",
        steps=(Step("h1", seen="#numbers.notice"),),
        network=cannot_read_who_was_sent_to,
    ),
    page(
        "journeys:editor",
        "slug",
        "running",
        as_="editor_numbers_failed",
        steps=(Step("h1", seen="#live.notice"),),
        network=cannot_read_who_was_sent_to,
    ),
    # What is wrong stands at its field.
    page(
        "account_login",
        visitor="anonymous",
        steps=(
            Step(
                "main [type=submit]",
                (("[name=login]", "nobody@example.com"), ("[name=password]", "not this one")),
                "[role=alert]",
            ),
        ),
        as_="login_wrong",
    ),
    part(
        "journeys:create",
        "journeys:list",
        ("slug",),
        asking("journeys:create"),
        Step("#dialog [type=submit]", seen="#dialog .field-error"),
        as_="create_wrong",
    ),
    panel(
        "panel_wrong",
        PANEL,
        Step(_OK, seen="aside.panel .field-error"),
        arguments=(
            "slug",
            "gaps",
            "gaps step",
        ),
    ),
    part(
        "journeys:test_send",
        "journeys:editor",
        _DRAFT_STEP,
        PANEL,
        TEST,
        Step(_FILLED, (("#dialog-wide [name=typed_id]", "x"),), "#dialog-wide .field-error"),
        as_="test_wrong",
    ),
    part(
        "journeys:publish",
        "journeys:editor",
        _DRAFT,
        _PUBLISH,
        Step(_FILLED, (("#id_number", "1"),), "#dialog-wide .field-error"),
        as_="publish_wrong_number",
    ),
    page(
        "journeys:audience_new",
        "slug",
        steps=(Step("#rules-form [type=submit]", seen="#rules-form .field-error"),),
        as_="audience_new_wrong",
    ),
    page(
        "journeys:audience_upload",
        "slug",
        "audience",
        steps=(Step("#upload [type=submit]", seen="#upload .field-error"),),
        as_="audience_upload_wrong",
    ),
    page(
        "journeys:audience_upload",
        "slug",
        "audience",
        steps=(Step("#look-title", ((_FILE, _PEOPLE),), "#look table"),),
        as_="audience_upload_look",
    ),
    page(
        "journeys:audience_upload",
        "slug",
        "audience",
        steps=(Step("#upload [type=submit]", ((_FILE, _PEOPLE),), "#upload-result"),),
        as_="audience_upload_report",
    ),
    # Two at once, and what is not saved.
    panel(
        "panel_unsaved",
        PANEL,
        Step("aside.panel .panel-close", (("#id_name", "Welcome"),), "#confirm[open]"),
    ),
    panel(
        "panel_conflict",
        PANEL,
        Step(_OK, (("#id_name", "Welcome"),), _NOTICE, meanwhile=changes_the_step),
    ),
    panel(
        "panel_gone",
        PANEL,
        Step(_OK, (("#id_name", "Welcome"),), _NOTICE, meanwhile=deletes_the_step),
        arguments=("slug", "finished", "finished step"),
    ),
    page(
        "journeys:audience",
        "slug",
        "rules",
        steps=(
            Step(
                "#rules-form [type=submit]",
                seen="#rules-form > .notice[role=alert]",
                meanwhile=changes_the_rules,
            ),
        ),
        as_="audience_conflict",
    ),
    part(
        "journeys:publish",
        "journeys:editor",
        _DRAFT,
        _PUBLISH,
        before=changes_the_words,
        as_="publish_changed_since_test",
    ),
    page("journeys:versions", "slug", "paused", as_="versions_changed"),
    page(
        "journeys:run", "slug", "long", "long run", before=sends_two_messages, as_="run_two_steps"
    ),
    page("journeys:list", "slug", before=tests_nothing, as_="first_steps_left"),
    page(
        "journeys:audience",
        "slug",
        "rules",
        steps=(Step("#rules-form [type=submit]", seen="#toasts .toast"),),
        as_="audience_saved",
    ),
    # Whoever may use no webhook adds a step.
    page(
        "journeys:editor",
        "slug",
        "gaps",
        visitor="beginner",
        steps=(
            opened("[popovertarget=menu-add]"),
            Step("#menu-add [data-add-kind]", seen="aside.panel"),
        ),
        as_="panel_no_webhook",
    ),
    # Nobody to send to, no event, nothing sent.
    panel("panel_no_usable_id", PANEL, before=chooses_people_without_ids),
    part(
        "journeys:publish",
        "journeys:editor",
        _DRAFT,
        asking(
            "journeys:publish",
            seen="#review-gaps",
        ),
        as_="publish_nobody",
    ),
    panel(
        "panel_no_event_yet",
        PANEL,
        arguments=("slug", "listening", "listening start"),
        before=chooses_an_event_that_never_came,
    ),
    page("journeys:events", "slug", query="?type=signup", as_="events_none_of_a_type"),
    page("journeys:run", "slug", "running", "run", before=fails, as_="run_failed"),
    part(
        "journeys:publish",
        "journeys:editor",
        _DRAFT,
        _PUBLISH,
        before=has_a_paused_webhook,
        as_="publish_webhook_paused",
    ),
    page("journeys:list", "slug", before=stops_sending, as_="sending_stopped"),
    # Full.
    page("journeys:list", "slug", before=is_full, as_="journeys_list_full"),
    page("journeys:editor", *_DRAFT, as_="editor_full"),
    panel("panel_full", PANEL),
    part(
        "journeys:publish",
        "journeys:editor",
        _DRAFT,
        asking(
            "journeys:publish",
            seen="#review-gaps",
        ),
        as_="publish_full",
    ),
    page("journeys:run", "slug", "paused", "paused run", as_="run_full"),
    page("journeys:audiences", "slug", as_="audiences_full"),
    page("journeys:deliveries", "slug", as_="deliveries_full"),
    # The right is lost while the panel is open.
    panel(
        "panel_right_lost",
        PANEL,
        Step(_OK, (("#id_name", "Welcome"),), _NOTICE, meanwhile=loses_the_right),
        visitor="marketer",
    ),
)
_WEBHOOK: Final = "admin:webhooks_webhook_change"
_SAVE: Final = "#webhook_form [name=_continue]"
_SEND: Final = "dialog[open] [data-send]"
_TYPED: Final = (("dialog[open] [name=typed_id]", "13800000001"),)
_OPEN_TEST: Final = Step("[data-dialog=test]:visible", seen=_SEND)


def tested(as_: str, *steps: Step, **more: Any) -> Row:
    name = "admin:webhooks_webhook_test"
    return part(name, _WEBHOOK, ("webhook",), _OPEN_TEST, *steps, as_=as_, **more)


SET_UP_STATES: Final = (
    # What is wrong stands at its field.
    page(
        "admin:webhooks_webhook_add",
        steps=(Step(_SAVE, seen=".webhook-error"),),
        as_="webhook_add_wrong",
    ),
    page(
        "admin:workspaces_role_add",
        steps=(Step("main [name=_save]", seen="#id_name_error"),),
        as_="role_add_wrong",
    ),
    page(
        _WEBHOOK,
        "webhook",
        steps=(Step(".webhook-grant [type=submit]", seen=".webhook-grant .webhook-error"),),
        as_="webhook_grant_wrong",
    ),
    # What is shown once, and what is asked before something goes.
    page(
        "admin:workspaces_apikey_add",
        steps=(
            Step("[name=scopes]", (("[name=name]", "CRM"),), "main"),
            Step("main [name=_save]", seen=".once"),
        ),
        as_="api_key_added",
    ),
    page(
        "admin:workspaces_membership_add",
        steps=(
            Step(
                "[name=roles]",
                (("[name=email]", "wu.hao@example.com"), ("#id_name", "Wu Hao")),
                "main",
            ),
            Step("main [name=_save]", seen=".once"),
        ),
        as_="member_added",
    ),
    page(
        "admin:webhooks_webhook_delete",
        "unused",
        before=registers_a_webhook_more,
        as_="webhook_delete",
    ),
    page(
        "admin:account_emailaddress_changelist",
        visitor="operator",
        steps=(
            Step(".action-select", seen="select[name=action]"),
            Step(
                ".actions [type=submit]",
                (("select[name=action]", "delete_selected"),),
                "main .button-danger",
            ),
        ),
        as_="email_addresses_delete",
    ),
    tested("webhook_test_wrong", Step(_SEND, seen="dialog[open] .webhook-error")),
    # Before what affects journeys; after a test.
    page(
        _WEBHOOK,
        "webhook",
        steps=(
            Step("[data-remove]:visible", seen="[data-none]"),
            Step(_SAVE, seen=".webhook-effect"),
        ),
        as_="webhook_effect",
    ),
    tested("webhook_test_accepted", Step(_SEND, _TYPED, "dialog[open] .verdict .green")),
    tested(
        "webhook_test_failed", Step(_SEND, _TYPED, "dialog[open] .verdict .red"), before=is_refused
    ),
    # Read-only in part, in trouble, standing still.
    page(_WEBHOOK, "webhook", visitor="developer", as_="webhook_developer"),
    page(_WEBHOOK, "webhook", before=is_left_alone, as_="webhook_left_alone"),
    page(_WEBHOOK, "webhook", before=has_a_paused_webhook, as_="webhook_paused"),
    page("admin:index", before=stops_sending, as_="admin_index_stopped"),
    # Full.
    page(_WEBHOOK, "webhook", before=is_full, as_="webhook_full"),
    page("admin:webhooks_webhook_changelist", as_="webhooks_full"),
    page("admin:webhooks_webhook_guide", "webhook", as_="webhook_full_guide"),
)
