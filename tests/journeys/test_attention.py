"""What the change of a webhook asks of the journeys that use it, on their pages and in the list."""

from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from journeys import drafts, publishing
from journeys.attention import Mark, marks_of
from journeys.models import Journey
from tests.journeys.factories import NOW, Scene, make_scene
from webhooks import control, revisions
from webhooks.models import Parameter

pytestmark = pytest.mark.django_db

UPDATE, ATTENTION = "Update available", "Needs attention"


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def member(client: Client, scene: Scene) -> Client:
    client.force_login(scene.member)
    return client


def change_webhook(scene: Scene, **parameter: Any) -> None:
    fields = {"name": "coupon", "required": True, "order": 9, **parameter}
    Parameter.objects.create(webhook=scene.webhook, **fields)
    revisions.freeze(webhook=scene.webhook, actor=None)


def published(scene: Scene) -> Journey:
    journey = scene.journey()
    publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=timezone.now()
    )
    return journey


def marks(journey: Journey) -> list[Mark]:
    return marks_of([Journey.objects.get(pk=journey.pk)]).get(journey.pk, [])


def labels(journey: Journey) -> list[str]:
    return [mark.label for mark in marks(journey)]


def test_a_live_journey_has_an_update_and_a_draft_needs_attention(scene: Scene) -> None:
    live, draft = published(scene), scene.journey()
    assert labels(live) == labels(draft) == []

    change_webhook(scene)

    assert (labels(live), labels(draft)) == ([UPDATE], [ATTENTION])
    assert "CRM coupons" in marks(live)[0].sentence
    assert "publish again" in marks(live)[0].sentence


def test_a_change_that_asks_for_nothing_marks_nothing(scene: Scene) -> None:
    live, draft = published(scene), scene.journey()

    change_webhook(scene, required=False)

    assert labels(live) == labels(draft) == []


def test_a_completed_step_and_a_new_publication_take_the_marks_away(scene: Scene) -> None:
    draft = scene.journey()
    change_webhook(scene)
    assert labels(draft) == [ATTENTION]
    draft.refresh_from_db()
    (step,) = draft.draft["steps"]
    values = {**step["config"]["values"], "coupon": "A"}

    drafts.save_step(
        journey=draft,
        revision=draft.draft_revision,
        user=scene.member,
        key=UUID(step["key"]),
        name="Step 1",
        config={**step["config"], "values": values},
        now=NOW,
    )
    assert labels(draft) == []

    draft.refresh_from_db()
    publishing.publish(
        journey=draft, revision=draft.draft_revision, user=scene.member, now=timezone.now()
    )
    assert labels(draft) == []


def test_a_disabled_webhook_keeps_a_live_journey_from_sending(scene: Scene) -> None:
    live, draft = published(scene), scene.journey()

    control.disable(webhook=scene.webhook, actor=None, now=NOW)

    assert (labels(live), labels(draft)) == ([ATTENTION], [])
    assert "is disabled" in marks(live)[0].sentence


def test_an_archived_journey_has_no_marks(scene: Scene) -> None:
    draft = scene.journey()
    change_webhook(scene)

    drafts.archive(journey=draft, user=scene.member)

    assert labels(draft) == []


def test_the_list_and_the_journeys_pages_show_them(member: Client, scene: Scene) -> None:
    live, draft = published(scene), scene.journey()
    change_webhook(scene)
    slug = scene.workspace.slug

    listed = member.get(reverse("journeys:list", args=[slug])).content.decode()
    run = reverse("journeys:run", args=[slug, live.pk, live.runs.get().pk])
    of_run = member.get(run).content.decode()
    of_live = member.get(reverse("journeys:editor", args=[slug, live.pk])).content.decode()
    of_draft = member.get(reverse("journeys:editor", args=[slug, draft.pk])).content.decode()

    assert (UPDATE in listed, ATTENTION in listed) == (True, True)
    assert f"{UPDATE}: “CRM coupons” has changed" in of_run
    assert (UPDATE in of_live, ATTENTION in of_draft) == (True, True)


def test_the_marks_of_many_journeys_cost_two_queries(
    scene: Scene, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    made = [published(scene), *(scene.journey() for _number in range(3))]
    change_webhook(scene)

    journeys = list(Journey.objects.filter(pk__in=[each.pk for each in made]))

    with django_assert_num_queries(2):
        assert len(marks_of(journeys)) == 4
