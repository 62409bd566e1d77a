"""List, review and run page in a real browser: publish in two clicks, watch, find out why."""

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from journeys import publishing, runner
from journeys.models import Journey, Run
from tests.browser.shop import send_everything
from tests.journeys.factories import Scene, make_scene
from webhooks import closing, keys
from webhooks.receiver import Behaviour, Receiver
from webhooks.receiver.server import Options

pytestmark = [pytest.mark.django_db(transaction=True)]

COUNT_CLICKS: Final = """
window.addEventListener("click", (event) => {
  if (!event.isTrusted) return;
  sessionStorage.setItem("clicks", Number(sessionStorage.getItem("clicks") ?? 0) + 1);
}, true);
"""
# A refused form is a normal answer that the browser writes down all the same.
NO_PROBLEM: Final = ("409", "422")
WIDE: Final = (1280, 800)
PHONE: Final = (390, 844)

Open = Callable[..., Page]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture
def scene(receiver: Receiver, settings: Any) -> Scene:
    """Three people, and a webhook at a real receiver that knows its key."""
    cache.clear()
    settings.EGRESS_ALLOW = [f"127.0.0.1/32:{receiver.port}"]
    made = make_scene(url=receiver.url("/coupons"))
    secrets = keys.signing_secrets(made.webhook, now=timezone.now())
    receiver.configure({"/coupons": Options(secrets=secrets)})
    return made


@pytest.fixture
def open_page(
    browser: Browser, client: Client, live_server: LiveServer, scene: Scene
) -> Iterator[Open]:
    """Open a page as the marketer; script errors and refusals of the policy fail the test."""
    problems: list[str] = []
    contexts = []
    client.force_login(scene.member)
    name = django_settings.SESSION_COOKIE_NAME
    session = client.cookies[name].value

    def opened(size: tuple[int, int] = WIDE, scheme: Literal["light", "dark"] = "light") -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.add_cookies([{"name": name, "value": session, "url": live_server.url}])
        context.add_init_script(COUNT_CLICKS)
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
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def url(name: str, journey: Journey, *args: object) -> str:
    return reverse(f"journeys:{name}", args=[journey.workspace.slug, journey.pk, *args])


def clicks(page: Page) -> int:
    return int(page.evaluate("Number(sessionStorage.getItem('clicks') ?? 0)"))


def publish(scene: Scene, journey: Journey | None = None) -> Run:
    made = journey or scene.journey()
    return publishing.publish(
        journey=made, revision=made.draft_revision, user=scene.member, now=timezone.now()
    ).run


def test_publish_in_two_clicks_and_watch(open_page: Open, scene: Scene) -> None:
    journey = scene.journey()
    page = open_page()
    page.goto(url("editor", journey))

    page.get_by_role("button", name="Publish").click()
    page.get_by_role("button", name="Send to 2 people").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert clicks(page) == 2
    send_everything()

    expect(page.get_by_text("3 of 3 people done")).to_be_visible()
    expect(page.get_by_text("No Mobile known in any data source.")).to_be_visible()
    expect(page.locator("#run-state")).to_have_text("Finished")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    expect(page.locator("#numbers[hx-get]")).to_have_count(0)


def test_find_out_in_two_clicks_why_one_person_did_not_get_it(
    open_page: Open, scene: Scene
) -> None:
    run = publish(scene)
    send_everything()
    page = open_page()
    page.goto(url("run", run.journey, run.pk))

    page.get_by_label("Mobile number, e-mail or another ID").click()
    page.keyboard.type("zhao@example.com")
    page.get_by_role("button", name="Find").click()

    verdict = page.locator(".verdict")
    expect(verdict).to_have_text("Not sent: no Mobile in the only data source.")
    assert clicks(page) == 2
    assert "zhao" not in page.url


def test_what_is_missing_opens_the_panel_at_its_field(open_page: Open, scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config(values={"content": ""}, variables={})])
    page = open_page()
    page.goto(url("editor", journey))

    page.get_by_role("button", name="Publish").click()
    page.get_by_role("link", name="Open Step 1").click()

    expect(page.locator("#dialog-wide")).to_be_hidden()
    expect(page.locator("aside.panel textarea").first).to_be_focused()


def test_the_address_of_a_step_opens_its_panel(open_page: Open, scene: Scene) -> None:
    journey = scene.journey()
    page = open_page()

    page.goto(f"{url('editor', journey)}?step={journey.draft['steps'][0]['key']}&field=name")

    expect(page.locator("aside.panel [name=name]")).to_be_focused()
    assert "?" not in page.url


def test_a_run_is_paused_resumed_and_stopped_by_keyboard(open_page: Open, scene: Scene) -> None:
    run = publish(scene)
    page = open_page()
    page.goto(url("run", run.journey, run.pk))
    runner.sweep(now=timezone.now())

    # The page was drawn before anybody was inside: the question counts when it is asked.
    page.get_by_role("button", name="Pause").press("Enter")
    expect(page.get_by_text("Nobody is sent to; 3 people keep their place.")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#numbers")).to_contain_text("Paused. Nobody is sent to; 3 people")
    # The button that takes the place of the pressed one has the focus.
    expect(page.get_by_role("button", name="Resume")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.get_by_role("button", name="Stop").press("Enter")
    page.get_by_label("Take 3 people out").press("Space")
    page.keyboard.press("Enter")

    expect(page.locator("#run-state")).to_have_text("Stopped")
    closing.close_cancelled()
    expect(page.locator(".figures")).to_contain_text("Taken out")


def test_a_journey_is_paused_resumed_and_stopped_from_the_list(
    open_page: Open, scene: Scene
) -> None:
    run = publish(scene)
    runner.sweep(now=timezone.now())
    page = open_page()
    page.goto(reverse("journeys:list", args=[scene.workspace.slug]))
    row, dialog = page.get_by_role("row").nth(1), page.get_by_role("dialog")

    def choose(words: str) -> None:
        page.get_by_role("button", name=f"More for {run.journey.name}").click()
        page.get_by_role("button", name=words, exact=True).click()

    choose("Pause")
    expect(dialog).to_contain_text("Nobody is sent to; 3 people keep their place.")
    dialog.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    expect(page.get_by_text("Paused. Nobody is sent to.")).to_be_visible()
    choose("Resume")
    expect(row).to_contain_text("In progress")
    choose("Stop")
    dialog.get_by_label("Take 3 people out").check()
    dialog.get_by_role("button", name="Stop").click()
    expect(row).to_contain_text("Stopped")


def test_all_that_failed_on_a_page_are_chosen_by_one_box(
    open_page: Open, scene: Scene, receiver: Receiver
) -> None:
    receiver.behave("/coupons", Behaviour(status=422))
    publish(scene)
    runner.sweep(now=timezone.now())
    send_everything()
    page = open_page()
    page.goto(reverse("journeys:deliveries", args=[scene.workspace.slug]))
    everything = page.get_by_label("Choose all of this page")
    boxes = page.locator("[name=delivery]")

    everything.check()
    assert [box.is_checked() for box in boxes.all()] == [True, True]
    boxes.first.uncheck()
    expect(everything).not_to_be_checked()
    assert everything.evaluate("(box) => box.indeterminate")
    everything.check()
    page.get_by_role("button", name="Send again").click()
    dialog = page.get_by_role("dialog", name="Send 2 deliveries again?")

    expect(dialog).to_contain_text("Those that you ticked.")


def test_a_journey_is_made_renamed_and_archived_from_the_list(
    open_page: Open, scene: Scene
) -> None:
    page = open_page()
    page.goto(reverse("journeys:list", args=[scene.workspace.slug]))
    page.get_by_role("button", name="New journey").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_role("button", name="Create").press("Enter")
    expect(page.get_by_text("Enter a name.")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_label("Name", exact=True).fill("Spring")
    page.get_by_label("Behaviour event").check()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Spring")

    page.get_by_label("Back to the journeys").click()
    page.get_by_role("button", name="More for Spring").click()
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("Autumn")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader")).to_have_text("Autumn")
    page.get_by_role("button", name="More for Autumn").click()
    page.get_by_role("button", name="Archive").click()

    expect(page.get_by_text("“Autumn” is archived.")).to_be_visible()
    expect(page.get_by_text("All journeys are archived")).to_be_visible()
    page.get_by_role("link", name="Archived").click()
    expect(page.get_by_role("rowheader")).to_have_text("Autumn")


def test_a_row_of_the_list_has_two_lines_and_reads_when_it_starts(
    open_page: Open, scene: Scene
) -> None:
    scene.audience.name = "Members with a purchase"
    scene.audience.save()
    journey = scene.journey()
    publish(scene, journey)
    page = open_page()
    page.goto(reverse("journeys:list", args=[scene.workspace.slug]))

    row = page.locator(".table tbody tr").bounding_box()
    name = page.get_by_title("Members with a purchase").first
    assert row is not None
    assert row["height"] <= 53  # Two lines of 20, or of 20 and 16, between 4 above and 4 below.
    assert not name.evaluate("node => node.scrollHeight > node.clientHeight")
    expect(page.locator(".table").get_by_text("Now", exact=True)).to_be_visible()


def test_the_filter_stands_beside_the_search_and_is_cleared_in_one_place(
    open_page: Open, scene: Scene
) -> None:
    publish(scene)
    page = open_page()
    page.goto(reverse("journeys:deliveries", args=[scene.workspace.slug]))

    parts = page.locator(".filter-row :is(.search, select, .button):visible")
    tops = {round(each.bounding_box()["y"]) for each in parts.all()}  # type: ignore[index]  # seen
    assert len(tops) == 1

    page.get_by_label("State").select_option(label="Failed")
    expect(page.get_by_role("heading", name="No delivery matches")).to_be_visible()
    expect(page.get_by_role("link", name="Clear the filter")).to_have_count(1)
