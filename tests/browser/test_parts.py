"""A part of a page that fails says so in its own place, and is there after *Try again*."""

from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from journeys import publishing
from tests.factories import make_administrator
from tests.journeys.factories import make_scene
from tests.locking import impatient, unreadable
from webhooks.models import Plan

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    with impatient():
        yield


def test_one_bad_part_is_asked_for_again_in_its_place(
    browser: Browser, client: Client, live_server: LiveServer
) -> None:
    scene = make_scene()
    journey = scene.journey()
    run = publishing.publish(
        journey=journey,
        revision=journey.draft_revision,
        user=scene.member,
        now=journey.created_at,
    ).run
    assert Plan.objects.filter(run_id=run.pk).exists()
    client.force_login(make_administrator(scene.workspace))
    name = django_settings.SESSION_COOKIE_NAME
    context = browser.new_context(base_url=live_server.url)
    context.add_cookies(
        [{"name": name, "value": client.cookies[name].value, "url": live_server.url}]
    )
    page = context.new_page()
    slug = scene.workspace.slug

    with unreadable("webhooks_chunk"):
        page.goto(reverse("journeys:run", args=[slug, journey.pk, run.pk]))
        numbers = page.locator("#numbers")
        expect(numbers).to_contain_text("The numbers of this run could not be read.")
        expect(page.get_by_role("button", name="Stop")).to_be_enabled()
        expect(page.get_by_role("heading", name="Find a person")).to_be_visible()
    numbers.get_by_role("button", name="Try again").click()
    expect(numbers.locator("dl.figures")).to_be_visible()

    with unreadable("identity_audiencemember"):
        page.goto(reverse("journeys:person_page", args=[slug, scene.people[0].pk]))
        audiences = page.locator("section", has_text="Audiences").last
        expect(audiences).to_contain_text(
            "This part could not be read. The rest of the page works."
        )
        expect(page.get_by_role("heading", name="IDs")).to_be_visible()
        expect(page.locator(".toast")).to_have_count(0)
    audiences.get_by_role("button", name="Try again").click()
    expect(audiences.get_by_role("link", name="Members")).to_be_visible()
    context.close()
