"""Two people at the same journey, a lost log-in, connection or right: nothing typed is lost."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Dialog, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from journeys import presence
from journeys.models import Journey
from tests.factories import PASSWORD
from tests.journeys.factories import Scene, grant, make_scene, take_point
from tests.webhooks.factories import make_member
from webhooks.models import MemberGrant
from workspaces import roles
from workspaces.models import User
from workspaces.points import Point

pytestmark = [pytest.mark.django_db(transaction=True)]

# Answers that a browser writes down as failed loads, although they are meant.
NO_PROBLEM: Final = ("403", "409", "422", "ERR_INTERNET_DISCONNECTED", "htmx:")
OURS: Final = "Half a sentence of mine"

Open = Callable[..., Page]


@pytest.fixture
def scene() -> Scene:
    cache.clear()
    made = make_scene()
    made.member.name = "Wang Lei"
    made.member.set_password(PASSWORD)
    made.member.save()
    return made


@pytest.fixture
def colleague(scene: Scene) -> User:
    made = make_member(scene.workspace, name="Li Mei")
    grant(made, scene.webhook)
    return made


@pytest.fixture
def open_as(browser: Browser, live_server: LiveServer) -> Iterator[Open]:
    """Open the editor in a browser of somebody's own; what a script gets wrong fails the test."""
    problems: list[str] = []
    contexts = []

    def opened(user: User, journey: Journey, clock: bool = False) -> Page:
        client = Client()
        client.force_login(user)
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": 1280, "height": 800},
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(8000)
        name = settings.SESSION_COOKIE_NAME
        session = client.cookies[name].value
        context.add_cookies([{"name": name, "value": session, "url": live_server.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda message: (
                problems.append(message.text)
                if message.type == "error" and not any(each in message.text for each in NO_PROBLEM)
                else None
            ),
        )
        if clock:
            page.clock.install()
        page.goto(reverse("journeys:editor", args=[journey.workspace.slug, journey.pk]))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def nodes(page: Page) -> Locator:
    return page.locator(".canvas-graph .node-main")


def open_step(page: Page, name: str = "Step 1") -> Locator:
    """Open a step's panel and return the box of its text."""
    nodes(page).filter(has_text=name).click()
    content = page.locator("aside.panel textarea").first
    expect(content).to_be_visible()
    return content


def step_name(page: Page) -> Locator:
    return panel(page).get_by_role("textbox", name="Step name")


def told(page: Page, words: str) -> Locator:
    return page.locator("#toasts").get_by_text(words)


def save(page: Page) -> None:
    page.get_by_role("button", name="OK", exact=True).click()


def panel(page: Page) -> Locator:
    return page.locator("aside.panel")


def notice(page: Page) -> Locator:
    return panel(page).locator(".notice[role=alert]")


def stored(journey: Journey, step: int = 0) -> tuple[str, str]:
    journey.refresh_from_db()
    found = journey.draft["steps"][step]
    return found["name"], found["config"]["values"]["content"]


def names(journey: Journey) -> list[str]:
    journey.refresh_from_db()
    return [step["name"] for step in journey.draft["steps"]]


def both_change(open_as: Open, scene: Scene, colleague: User, journey: Journey) -> Page:
    """Let Li Mei save the step that Wang Lei has changed too, and Wang Lei press OK."""
    mine, hers = open_as(scene.member, journey), open_as(colleague, journey)
    open_step(mine, journey.draft["steps"][0]["name"]).fill(OURS)
    open_step(hers, journey.draft["steps"][0]["name"]).fill("Hers, for all")
    step_name(hers).fill("Her step")
    save(hers)
    expect(panel(hers)).to_have_count(0)
    save(mine)
    expect(notice(mine)).to_contain_text("Li Mei changed this step at")
    return mine


# --- The same step --------------------------------------------------------------------------------


def test_both_values_are_shown_and_mine_can_be_kept(
    open_as: Open, scene: Scene, colleague: User
) -> None:
    journey = scene.journey()
    mine = both_change(open_as, scene, colleague, journey)

    assert notice(mine).get_by_role("row").all_inner_texts() != []
    for both in ["Her step", "Step 1", "Hers, for all", OURS]:
        expect(notice(mine).get_by_role("table")).to_contain_text(both)
    expect(notice(mine)).to_be_focused()
    expect(mine.locator("aside.panel textarea").first).to_have_value(OURS)
    notice(mine).get_by_role("button", name="Keep mine").click()

    expect(panel(mine)).to_have_count(0)
    assert stored(journey) == ("Step 1", OURS)


def test_theirs_can_be_used_for_all_or_for_one_field(
    open_as: Open, scene: Scene, colleague: User
) -> None:
    journey = scene.journey()
    mine = both_change(open_as, scene, colleague, journey)

    notice(mine).get_by_role("button", name="Use theirs for Step name").click()
    expect(step_name(mine)).to_have_value("Her step")
    expect(mine.locator("aside.panel textarea").first).to_have_value(OURS)
    expect(notice(mine).get_by_role("rowheader", name="Step name")).to_have_count(0)
    save(mine)
    expect(panel(mine)).to_have_count(0)
    assert stored(journey) == ("Her step", OURS)

    again = both_change(open_as, scene, colleague, journey)
    notice(again).get_by_role("button", name="Use theirs", exact=True).click()
    expect(again.locator("aside.panel textarea").first).to_have_value("Hers, for all")
    again.keyboard.press("Escape")  # Nothing is unsaved.
    expect(panel(again)).to_have_count(0)
    assert stored(journey) == ("Her step", "Hers, for all")


def test_a_redrawn_canvas_does_not_let_an_old_panel_overwrite_a_newer_step(
    open_as: Open, scene: Scene, colleague: User
) -> None:
    """The panel is as old as it was drawn, whatever the canvas beside it has learned since."""
    journey = scene.journey(steps=[scene.config(), scene.config()])
    mine, hers = open_as(scene.member, journey), open_as(colleague, journey)
    open_step(mine).fill(OURS)
    open_step(hers).fill("Hers")
    save(hers)
    expect(panel(hers)).to_have_count(0)

    nodes(mine).filter(has_text="Step 2").focus()
    mine.keyboard.press("Alt+ArrowUp")
    expect(mine.locator("#toasts")).to_contain_text("Li Mei changed")
    expect(mine.locator(".canvas-graph .node.is-selected")).to_contain_text("Step 1")
    save(mine)

    expect(notice(mine)).to_contain_text("Li Mei changed this step at")
    assert stored(journey)[1] == "Hers"


def test_moving_a_step_does_not_hinder_the_panel_that_is_open(open_as: Open, scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config()])
    page = open_as(scene.member, journey)
    open_step(page).fill(OURS)

    nodes(page).filter(has_text="Step 2").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(told(page, "Step moved.")).to_be_visible()
    expect(page.locator("aside.panel textarea").first).to_have_value(OURS)
    save(page)

    expect(panel(page)).to_have_count(0)
    assert names(journey) == ["Step 2", "Step 1"]
    assert stored(journey, 1)[1] == OURS


def test_the_header_names_who_else_has_it_open(
    open_as: Open, scene: Scene, colleague: User
) -> None:
    journey = scene.journey()
    mine = open_as(scene.member, journey, clock=True)
    expect(mine.locator("#presence")).to_have_text("")
    hers = open_as(colleague, journey)

    expect(hers.locator(".presence-text")).to_have_text("Wang Lei has this open")
    mine.clock.run_for(presence.BEAT_SECONDS * 1000)
    expect(mine.locator(".presence-text")).to_have_text("Li Mei has this open")
    expect(mine.locator("#presence .avatar")).to_have_text("L")
    expect(mine.locator("#presence .avatar")).to_have_attribute("title", "Li Mei")


# --- Unsaved changes ------------------------------------------------------------------------------


def test_every_way_out_of_a_changed_panel_asks(open_as: Open, scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config()])
    page = open_as(scene.member, journey)
    question = page.get_by_role("dialog", name="Save the changes?")
    content = open_step(page)
    content.fill(OURS)

    ways: list[Callable[[], None]] = [
        lambda: panel(page).get_by_role("button", name="Close").click(),
        lambda: nodes(page).filter(has_text="Step 2").click(),
        lambda: page.get_by_label("Back to the journeys").click(),
        lambda: content.press("Escape"),
    ]
    for way_out in ways:
        way_out()
        question.get_by_role("button", name="Keep editing").click()
        expect(content).to_have_value(OURS)

    nodes(page).filter(has_text="Step 2").click()
    question.get_by_role("button", name="Save", exact=True).click()
    expect(step_name(page)).to_have_value("Step 2")
    assert stored(journey)[1] == OURS

    content.fill("Not to be kept")
    page.get_by_label("Back to the journeys").click()
    question.get_by_role("button", name="Discard").click()
    page.wait_for_url("**/journeys/")
    assert stored(journey, 1)[1] == "Dear ${name} Hello"


@pytest.mark.parametrize("is_asked_again", [False, True])
def test_an_answered_question_takes_nothing_from_what_is_done_right_after_it(
    open_as: Open, scene: Scene, is_asked_again: bool
) -> None:
    """A browser tells that a dialog is closed some time after it has closed it."""
    page = open_as(scene.member, scene.journey())
    question = page.get_by_role("dialog", name="Save the changes?")
    content = open_step(page)
    content.fill(OURS)
    panel(page).get_by_role("button", name="Close").click()
    expect(question).to_be_visible()
    question.evaluate(
        """(dialog, isAskedAgain) => new Promise((resolve) => {
          dialog.addEventListener("close", () => setTimeout(resolve), { once: true });
          dialog.querySelector("button").click(); // Keep editing
          if (isAskedAgain) document.querySelector(".panel-close").click();
          else document.querySelector("aside.panel textarea").focus();
        })""",
        is_asked_again,
    )

    if is_asked_again:
        question.get_by_role("button", name="Discard").click()
        expect(panel(page)).to_have_count(0)
    else:
        expect(content).to_be_focused()


def test_deleting_the_step_of_a_changed_panel_asks_and_closes_it(
    open_as: Open, scene: Scene
) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config()])
    page = open_as(scene.member, journey)
    question = page.get_by_role("dialog", name="Delete this step?")
    content = open_step(page, "Step 2")
    content.fill(OURS)

    for answer in ("Cancel", "Delete"):
        panel(page).get_by_role("button", name="More for this step").click()
        page.locator("#menu-step").get_by_role("button", name="Delete").click()
        expect(question).to_contain_text("This step has changes that are not saved.")
        expect(content).to_have_value(OURS)
        expect(question.locator(".button-primary")).to_have_count(0)
        expect(question.locator(".button-danger")).to_have_text("Delete")
        question.get_by_role("button", name=answer).click()

    expect(panel(page)).to_have_count(0)
    expect(nodes(page).filter(has_text="Step 1")).to_be_focused()
    assert names(journey) == ["Step 1"]

    # Of an unchanged panel nothing is asked, and an undo takes the panel of its step away as well.
    nodes(page).filter(has_text="Step 1").press("a")
    expect(page.locator("#menu-add .menu-item").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(step_name(page)).to_be_visible()
    panel(page).get_by_role("heading").focus()
    page.keyboard.press("Control+z")
    expect(panel(page)).to_have_count(0)
    assert names(journey) == ["Step 1"]


def test_another_start_is_asked_about_once_and_opens_with_what_was_typed_given_up(
    open_as: Open, scene: Scene
) -> None:
    journey = scene.journey()
    page = open_as(scene.member, journey)
    question = page.get_by_role("dialog", name="Change the start?")
    nodes(page).first.click()
    step_name(page).fill("Half a name")
    for answer in ("Cancel", "Change"):
        panel(page).get_by_role("button", name="More for this step").click()
        page.locator("#menu-step").get_by_role("button", name="Behaviour event").click()
        expect(question).to_contain_text("given up, saved or not")
        expect(step_name(page)).to_have_value("Half a name")
        question.get_by_role("button", name=answer).click()

    expect(panel(page).get_by_role("heading", name="Behaviour event")).to_be_focused()
    expect(page.locator("dialog[open], #toasts .toast-error")).to_have_count(0)
    journey.refresh_from_db()
    assert journey.draft["start"]["component"] == "event"


@pytest.mark.parametrize("way", ["history.back()", "location.reload()"])
def test_the_browser_asks_before_it_leaves_a_changed_panel(
    open_as: Open, scene: Scene, way: str
) -> None:
    journey = scene.journey()
    page = open_as(scene.member, journey)
    address = page.url
    page.goto(reverse("journeys:list", args=[scene.workspace.slug]))
    page.goto(address)
    content = open_step(page)
    content.press("End")
    page.keyboard.type(" and more")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    with page.expect_event("dialog"):
        page.evaluate(f"setTimeout(() => {way})")

    expect(content).to_have_value("Dear ${name} Hello and more")
    assert page.url == address
    assert asked == ["beforeunload"]
    page.remove_listener("dialog", stay)


# --- Lost log-in, lost connection -----------------------------------------------------------------


def test_a_lost_log_in_keeps_what_was_typed_and_goes_on_after_the_log_in(
    open_as: Open, scene: Scene
) -> None:
    journey = scene.journey()
    page = open_as(scene.member, journey)
    content = open_step(page)
    content.fill(OURS)
    Session.objects.all().delete()

    save(page)
    toast = page.locator("#toasts .toast-error")
    expect(toast).to_contain_text("You were logged out.")
    expect(content).to_have_value(OURS)
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    with page.context.expect_page() as opened:
        toast.get_by_role("link", name="Log in").click()
    login = opened.value
    login.locator("[name=login]").fill(scene.member.email)
    login.locator("[name=password]").fill(PASSWORD)
    login.keyboard.press("Enter")
    login.wait_for_url("**/journeys/")
    with page.expect_response("**/canvas/"):
        save(page)

    expect(panel(page)).to_have_count(0)
    expect(told(page, "Step saved.")).to_be_visible()
    expect(toast).to_have_count(0)
    assert stored(journey)[1] == OURS
    nodes(page).filter(has_text="Step 1").press("Control+d")
    expect(told(page, "Step duplicated.")).to_be_visible()


def test_a_lost_connection_keeps_what_was_typed_and_goes_on_when_it_is_back(
    open_as: Open, scene: Scene
) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config()])
    page = open_as(scene.member, journey)
    content = open_step(page)
    content.fill(OURS)
    page.context.set_offline(True)

    save(page)
    toast = page.locator("#toasts .toast-error")
    expect(toast).to_contain_text("The server cannot be reached. Nothing you typed is lost.")
    toast.get_by_role("button", name="Try again").click()
    expect(toast).to_contain_text("The server cannot be reached.")
    expect(content).to_have_value(OURS)
    page.context.set_offline(False)
    with page.expect_response("**/canvas/"):
        toast.get_by_role("button", name="Try again").click()
    expect(panel(page)).to_have_count(0)
    expect(toast).to_have_count(0)
    assert stored(journey)[1] == OURS

    page.context.set_offline(True)
    nodes(page).filter(has_text="Step 2").press("Delete")
    expect(toast).to_be_visible()
    page.context.set_offline(False)
    toast.get_by_role("button", name="Try again").click()
    expect(told(page, "Step deleted.")).to_be_visible()
    assert names(journey) == ["Step 1"]


# --- Copying and pasting --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_a_copied_step_is_named_and_pasted_from_the_menu_of_a_plus(
    open_as: Open, scene: Scene, size: tuple[int, int]
) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config()])
    page = open_as(scene.member, journey)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    plus = page.get_by_role("button", name="Add a step after Step 2")
    paste = page.locator("#menu-add").get_by_role("button", name="Paste")
    plus.click()
    expect(page.locator("#menu-add .menu-item").first).to_be_focused()
    expect(paste).to_have_count(0)
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Step 1").first.click()
    panel(page).get_by_role("button", name="More for this step").click()
    page.locator("#menu-step").get_by_role("button", name="Copy").click()
    expect(told(page, "“Step 1” is copied.")).to_be_visible()
    panel(page).locator("[data-close-panel]:visible").first.click()
    plus.click()
    expect(paste).to_contain_text("Paste “Step 1”")
    paste.click()

    expect(told(page, "Step pasted.")).to_be_visible()
    assert names(journey) == ["Step 1", "Step 2", "Step 1 (copy)"]
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(told(page, "Undone.")).to_be_visible()
    assert names(journey) == ["Step 1", "Step 2"]


# --- Undo -----------------------------------------------------------------------------------------


def test_delete_move_and_paste_are_undone_by_key_and_by_the_toast(
    open_as: Open, scene: Scene
) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config()])
    page = open_as(scene.member, journey)
    acts = {
        "Step deleted.": (["Delete"], ["Step 1"]),
        "Step moved.": (["Alt+ArrowUp"], ["Step 2", "Step 1"]),
        "Step pasted.": (["Control+c", "Control+v"], ["Step 1", "Step 2", "Step 2 (copy)"]),
    }
    for by in ("key", "toast"):
        for words, (keys, after) in acts.items():
            nodes(page).filter(has_text="Step 2").first.focus()
            for key in keys:
                page.keyboard.press(key)
            toast = page.locator("#toasts .toast").filter(has_text=words).last
            expect(toast).to_be_visible()
            assert names(journey) == after
            if by == "key":
                page.keyboard.press("Control+z")
            else:
                toast.get_by_role("button", name="Undo").click()
            expect(page.locator("#toasts .toast").filter(has_text="Undone.").last).to_be_visible()
            expect(nodes(page)).to_have_count(4)  # Start, two steps, end.
            assert names(journey) == ["Step 1", "Step 2"]
            page.evaluate("document.getElementById('toasts').replaceChildren()")


def test_undo_is_offered_for_ten_seconds_and_by_key_for_as_long_as_the_page(
    open_as: Open, scene: Scene, colleague: User
) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config(), scene.config()])
    page = open_as(scene.member, journey, clock=True)
    page.clock.pause_at(timezone.now() + timedelta(minutes=1))
    undo = page.locator("#toasts").get_by_role("button", name="Undo")

    def delete(name: str) -> None:
        nodes(page).filter(has_text=name).press("Delete")
        expect(nodes(page).filter(has_text=name)).to_have_count(0)

    delete("Step 3")
    expect(undo).to_be_visible()
    page.clock.run_for(9_900)
    expect(undo).to_be_visible()
    page.clock.run_for(200)
    expect(undo).to_have_count(0)

    # One after the other, by the key and by the toast of whatever is the latest.
    delete("Step 2")
    delete("Step 1")
    expect(undo).to_have_count(1)
    nodes(page).first.press("Control+z")
    expect(nodes(page).filter(has_text="Step 1")).to_be_visible()
    page.clock.run_for(4_900)
    expect(told(page, "Undone.")).to_be_visible()
    page.clock.run_for(200)
    expect(told(page, "Undone.")).to_have_count(0)
    undo.click()
    expect(nodes(page).filter(has_text="Step 2")).to_be_visible()
    expect(undo).to_have_count(0)
    nodes(page).first.press("Control+z")
    expect(nodes(page).filter(has_text="Step 3")).to_be_visible()
    assert names(journey) == ["Step 1", "Step 2", "Step 3"]

    # Not over what somebody else has done since.
    delete("Step 3")
    hers = open_as(colleague, journey)
    nodes(hers).filter(has_text="Step 1").press("Alt+ArrowDown")
    expect(told(hers, "Step moved.")).to_be_visible()
    nodes(page).first.press("Control+z")
    expect(told(page, "Li Mei changed the step “Step 1” at")).to_be_visible()
    assert names(journey) == ["Step 2", "Step 1"]


# --- A lost right ---------------------------------------------------------------------------------


def lose_usage(scene: Scene) -> None:
    MemberGrant.objects.filter(user=scene.member).update(ends_at=timezone.now())


def lose_editing(scene: Scene) -> None:
    (role,) = scene.member.memberships.get().roles.all()
    left = roles.points_of(role) - {Point.AUTOMATED_MARKETING}
    roles.set_points(role=role, points=left, actor=None)


@pytest.mark.parametrize(
    ("lose", "reason"),
    [
        (take_point, "The permission “User Marketing-Reach Marketing-Webhook” is missing."),
        (lose_usage, "The usage permission for this webhook ended on"),
        (lose_editing, "The permission “User Marketing-Automated Marketing” is missing."),
    ],
)
def test_a_right_lost_while_the_panel_is_open_makes_it_read_only(
    open_as: Open, scene: Scene, lose: Callable[[Scene], None], reason: str
) -> None:
    journey = scene.journey()
    page = open_as(scene.member, journey)
    open_step(page).fill(OURS)
    lose(scene)

    save(page)

    expect(notice(page)).to_contain_text(reason)
    expect(notice(page)).to_contain_text("Nothing was saved. What you typed is still here")
    expect(notice(page)).to_contain_text("Ask ")
    content = page.locator("aside.panel textarea").first
    expect(content).to_have_value(OURS)
    expect(content).not_to_be_editable()
    expect(step_name(page)).not_to_be_editable()
    expect(page.get_by_role("combobox", name="Webhook")).to_be_disabled()
    expect(page.get_by_role("radio", name="MOBILE")).to_be_disabled()
    expect(page.get_by_role("button", name="OK", exact=True)).to_have_count(0)
    content.focus()
    page.keyboard.press("Control+a")
    assert page.evaluate("window.getSelection().toString()") == OURS
    page.keyboard.press("Escape")
    question = page.get_by_role("dialog", name="Save the changes?")
    expect(question.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    question.get_by_role("button", name="Discard").click()
    expect(panel(page)).to_have_count(0)
    assert stored(journey)[1] == "Dear ${name} Hello"
