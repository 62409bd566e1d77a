"""Publishing, and what is done to a run: status codes, gates, counts, sentences."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from journeys import drafts, publishing, runner
from journeys.choices import JourneyState
from journeys.components.audience import When
from journeys.models import Journey, Run
from tests.factories import make_administrator, make_workspace
from tests.journeys.factories import Scene, make_purchase, make_scene
from webhooks.models import MemberGrant

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def member(client: Client, scene: Scene) -> Client:
    client.force_login(scene.member)
    return client


def url(name: str, journey: Journey, *args: object) -> str:
    return reverse(f"journeys:{name}", args=[journey.workspace.slug, journey.pk, *args])


def publish(scene: Scene, journey: Journey | None = None) -> Run:
    made = journey or scene.journey()
    return publishing.publish(
        journey=made, revision=made.draft_revision, user=scene.member, now=timezone.now()
    ).run


def seen(client: Client, journey: Journey) -> str:
    """Return the token of the review as it is shown now."""
    return str(client.get(url("publish", journey), {"count": ""}).context["seen"])


# --- The review -----------------------------------------------------------------------------------


def test_the_review_says_at_once_that_it_counts(member: Client, scene: Scene) -> None:
    answer = member.get(url("publish", scene.journey()))

    assert answer.status_code == 200
    assert "Counting who would be reached…" in answer.content.decode()
    assert "Still counting." in answer.content.decode()


def test_the_review_counts_and_its_button_names_the_act(member: Client, scene: Scene) -> None:
    shown = member.get(url("publish", scene.journey()), {"count": ""}).content.decode()

    assert "Send to 2 people" in shown
    assert "Skipped: No MOBILE known in any data source." in shown
    assert "of whom get the default “Member” for ${name}" in shown
    assert "This step has never been tested." in shown


def test_publishing_leads_to_the_run(member: Client, scene: Scene) -> None:
    journey = scene.journey()

    answer = member.post(
        url("publish", journey), {"seen": seen(member, journey)}, headers={"HX-Request": "true"}
    )

    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"] == url("run", journey, journey.runs.get().pk)
    journey.refresh_from_db()
    assert journey.state == JourneyState.RUNNING
