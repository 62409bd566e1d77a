"""The list, the review, the run page in a real browser: publish in two clicks, watch, find out why.

SCREENSHOTS=docs/images keeps the pictures of the documentation, GALLERY=<folder> all others.
"""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from journeys import publishing, runner, runs
from journeys.choices import JourneyState
from journeys.components.webhook import WebhookConfig
from journeys.models import Journey, Run
from tests.journeys.factories import Scene, make_purchase, make_scene
from webhooks import closing, engine, keys
from webhooks.models import Plan, TestSend
from webhooks.receiver import Receiver
from webhooks.receiver.server import Options

pytestmark = [pytest.mark.django_db(transaction=True)]

CROWD: Final = 23_570
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


def send_everything() -> None:
    """Do what planner and sender do, until everybody has got it."""
    runner.sweep(now=timezone.now())
    engine.drain(seconds=10)
    runner.sweep(now=timezone.now())


def assert_good(page: Page) -> None:
    """Axe finds nothing serious, and nothing is wider than the screen."""
    found = Axe().run(page)
    serious = [
        (each["id"], [node["html"][:160] for node in each["nodes"]])
        for each in found.response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def picture(page: Page, name: str, kind: str = "") -> None:
    """Keep a picture for the documentation, or one of another size or scheme for the gallery."""
    name = f"{name}_{kind}" if kind else name
    if folder := os.environ.get("GALLERY" if kind else "SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")


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
    expect(page.get_by_text("No MOBILE known in any data source.")).to_be_visible()
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
    page.keyboard.type("nomobile@example.com")
    page.get_by_role("button", name="Find").click()

    verdict = page.locator(".verdict")
    expect(verdict).to_have_text("Not sent: no MOBILE in the only data source.")
    assert clicks(page) == 2
    assert "nomobile" not in page.url


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
    runner.sweep(now=timezone.now())
    page = open_page()
    page.goto(url("run", run.journey, run.pk))

    page.get_by_role("button", name="Pause").press("Enter")
    expect(page.get_by_text("Nobody is sent to; 3 people keep their place.")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.locator("#numbers")).to_contain_text("Paused. Nobody is sent to; 3 people")
    page.get_by_role("button", name="Resume").press("Enter")
    page.get_by_role("button", name="Pause").wait_for()
    page.get_by_role("button", name="Stop").press("Enter")
    page.get_by_label("Take 3 people out").press("Space")
    page.keyboard.press("Enter")

    expect(page.locator("#run-state")).to_have_text("Stopped")
    closing.close_cancelled()
    expect(page.locator(".figures")).to_contain_text("Taken out")


def test_a_journey_is_made_renamed_and_archived_from_the_list(
    open_page: Open, scene: Scene
) -> None:
    page = open_page()
    page.goto(reverse("journeys:list", args=[scene.workspace.slug]))
    page.get_by_role("button", name="New journey").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Enter a name.")).to_be_visible()
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


# --- How it looks ---------------------------------------------------------------------------------


def make_crowd(scene: Scene) -> None:
    """Make a shop's customers: 93 in 100 have a mobile number, 82 in 100 a nickname."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH made AS ("
            "  INSERT INTO identity_profile (workspace_id, tags, tag_times, created_at)"
            "  SELECT %s, CASE WHEN n %% 100 < 82 THEN jsonb_build_object('nickname', 'P' || n)"
            "    ELSE '{}' END, '{}', now() FROM generate_series(1, %s) n RETURNING qaid"
            "), inside AS ("
            "  INSERT INTO identity_audiencemember (audience_id, profile_id)"
            "  SELECT %s, qaid FROM made"
            ") INSERT INTO identity_identifier"
            "  (profile_id, id_type_id, value, data_source_id, first_seen, last_seen)"
            " SELECT qaid, %s, '139' || lpad(qaid::text, 8, '0'), %s, now(), now()"
            " FROM made WHERE qaid %% 100 < 93",
            [
                scene.workspace.pk,
                CROWD - len(scene.people),
                scene.audience.pk,
                scene.mobile.pk,
                scene.source.pk,
            ],
        )


def half_way(run: Run) -> None:
    """Let three of five chunks be done: with defaults, people skipped, a few failed."""
    while run.state != "running":
        runner.sweep(now=timezone.now())
        run.refresh_from_db()
    plan = Plan.objects.get(run_id=run.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE webhooks_chunk SET queued = 0, unsent = 0, dead = number %% 2,"
            " skipped = size * 7 / 100, delivered = size - size * 7 / 100 - number %% 2,"
            " tallies = jsonb_build_object('skipped:no_id', size * 7 / 100,"
            "   'dead:rejected', number %% 2, 'default:content:name', size * 17 / 100)"
            " WHERE plan_id = %s AND number %% 5 < 3",
            [plan.pk],
        )
    Run.objects.filter(pk=run.pk).update(started_at=timezone.now() - timedelta(seconds=41))


@pytest.fixture
def crowd(scene: Scene) -> Scene:
    """A workspace with work in it: a draft, and journeys listening, under way, paused, finished."""
    _rename(scene.workspace.organization, "Lakeside Retail")
    _rename(scene.workspace, "Member marketing", time_zone="Asia/Shanghai")
    _rename(scene.audience, "Members with a purchase")
    _rename(scene.source, "Online shop")
    _rename(scene.member, "Li Mei")
    publish(scene, _named(scene.event_journey(make_purchase(scene)), "Thanks after a purchase"))
    finished = publish(scene, _named(scene.journey(), "Autumn greetings"))
    send_everything()
    assert Run.objects.get(pk=finished.pk).state == "finished"
    paused = publish(scene, _named(scene.journey(), "Call about open baskets"))
    make_crowd(scene)
    half_way(paused)
    runs.pause(journey=paused.journey, user=scene.member, now=timezone.now())
    half_way(publish(scene, _named(scene.journey(), "Coupon for the holidays")))
    _tested(scene, _named(scene.journey(), "Spring coupons"))
    return scene


def _rename(thing: Model, name: str, **fields: object) -> None:
    for field, value in {"name": name, **fields}.items():
        setattr(thing, field, value)
    thing.save()


def _named(journey: Journey, name: str) -> Journey:
    """Give a journey and its step names that a marketer would give."""
    journey.draft["steps"][0]["name"] = "Send the coupon"
    _rename(journey, name)
    return journey


def _tested(scene: Scene, journey: Journey) -> None:
    """Let the step have been tested as it is."""
    step = journey.draft["steps"][0]
    TestSend.objects.create(
        workspace=scene.workspace,
        webhook=scene.webhook,
        revision=scene.webhook.revision,
        step_key=step["key"],
        fingerprint=WebhookConfig.from_json(step["config"]).fingerprint,
        sent_by=scene.member,
        sent_at=timezone.now(),
        accepted=True,
        status_code=200,
        duration_ms=84,
    )


def test_the_pages_are_accessible_at_every_size_and_in_both_schemes(
    open_page: Open, crowd: Scene
) -> None:
    draft = Journey.objects.get(name="Spring coupons")
    running = Run.objects.get(journey__name="Coupon for the holidays")
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for size in (WIDE, PHONE):
        for scheme in schemes:
            kind = f"{size[0]}_{scheme}" if (size, scheme) != (WIDE, "light") else ""
            page = open_page(size, scheme)
            page.goto(reverse("journeys:list", args=[crowd.workspace.slug]))
            expect(page.get_by_role("rowheader")).to_have_count(5)
            assert_good(page)
            picture(page, "journeys", kind)

            page.goto(url("run", running.journey, running.pk))
            page.get_by_label("Mobile number, e-mail or another ID").fill("13800000001")
            page.get_by_role("button", name="Find").click()
            expect(page.locator(".verdict")).to_be_visible()
            assert_good(page)
            picture(page, "run", kind)
            page.get_by_role("button", name="Stop").click()
            expect(page.get_by_text("people are still inside")).to_be_visible()
            assert_good(page)

            page.goto(url("versions", running.journey))
            assert_good(page)

            page.goto(url("editor", draft))
            page.get_by_role("button", name="Publish").click()
            expect(page.get_by_role("button", name="Send to 21,9")).to_be_visible()
            assert_good(page)
            picture(page, "publish", kind)
    assert Journey.objects.get(pk=draft.pk).state == JourneyState.DRAFT
