"""The first steps of a workspace, ticked by what is really there."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from journeys import checklist, publishing
from journeys.checklist import Checklist
from tests import factories
from tests.identity.factories import make_data_source, make_profile
from tests.journeys.factories import NOW, grant, make_scene
from tests.journeys.test_runner import publish, sweep
from tests.webhooks.factories import make_administrator, make_member, make_webhook, make_workspace
from webhooks.models import Chunk, TestSend, Webhook
from workspaces.choices import Preset
from workspaces.models import Workspace
from workspaces.points import Point

pytestmark = pytest.mark.django_db

KEYS = ["data_source", "people", "webhook", "receiver", "test", "permission", "journey"]


def read(workspace: Workspace, *points: Point) -> Checklist:
    return checklist.of(workspace=workspace, points=points or tuple(Point), now=NOW)


def done_in(workspace: Workspace) -> list[str]:
    return [step.key for step in read(workspace).items if step.is_done]


def make_test(webhook: Webhook, *, status_code: int | None) -> TestSend:
    return TestSend.objects.create(
        workspace=webhook.workspace,
        webhook=webhook,
        revision=webhook.revision,
        sent_at=NOW,
        id_type_code="MOBILE",
        masked_id="138****0000",
        accepted=status_code == 200,
        outcome="delivered" if status_code == 200 else "dead",
        status_code=status_code,
        request_text="",
    )


def test_a_new_workspace_has_everything_before_it() -> None:
    workspace = make_workspace()

    steps = read(workspace)

    assert [step.key for step in steps.items] == KEYS
    assert (steps.done, steps.total, steps.is_done) == (0, len(KEYS), False)


def test_each_step_is_ticked_by_its_own_state() -> None:
    workspace = make_workspace()
    make_data_source(workspace)
    assert done_in(workspace) == KEYS[:1]
    make_profile(workspace)
    assert done_in(workspace) == KEYS[:2]
    webhook = make_webhook(workspace)
    assert done_in(workspace) == KEYS[:3]
    make_test(webhook, status_code=None)
    assert done_in(workspace) == KEYS[:3]
    make_test(webhook, status_code=500)
    assert done_in(workspace) == KEYS[:4]
    make_test(webhook, status_code=200)
    assert done_in(workspace) == KEYS[:5]
    member = make_member(workspace)
    ended = grant(member, webhook, ends_at=NOW - timedelta(seconds=1))
    assert done_in(workspace) == KEYS[:5]
    ended.delete()
    grant(member, webhook)
    assert done_in(workspace) == KEYS[:6]


def test_a_published_journey_is_the_last_step() -> None:
    scene = make_scene()
    make_test(scene.webhook, status_code=200)
    assert not read(scene.workspace).is_done

    journey = scene.journey()
    publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=timezone.now()
    )

    assert read(scene.workspace).is_done


def test_who_was_delivered_to_shows_that_the_receiving_system_answers() -> None:
    scene = make_scene()
    publish(scene, scene.journey())
    sweep()
    assert "receiver" not in done_in(scene.workspace)

    Chunk.objects.update(queued=2, unsent=2, delivered=1)

    assert "receiver" in done_in(scene.workspace)
    assert done_in(make_workspace()) == []


def test_what_another_workspace_has_ticks_nothing() -> None:
    scene = make_scene()
    make_test(scene.webhook, status_code=200)

    assert done_in(make_workspace()) == []


def test_links_are_for_those_who_may_follow_them() -> None:
    workspace = make_workspace()
    webhook = make_webhook(workspace)

    urls = {step.key: step.url for step in read(workspace, Point.WEBHOOK_MANAGEMENT).items}

    assert urls["data_source"] == urls["journey"] == ""
    assert urls["receiver"] == f"/admin/webhooks/webhook/{webhook.pk}/guide/"
    assert urls["test"] == f"/admin/webhooks/webhook/{webhook.pk}/change/?test=1"


def test_people_are_brought_in_on_the_consoles_page_of_audiences(client: Client) -> None:
    workspace = make_workspace()
    client.force_login(factories.make_member(workspace, points=[Point.MANAGE_DATA]))
    steps = {
        point: {step.key: step.url for step in read(workspace, point).items}
        for point in (Point.MANAGE_DATA, Point.AUTOMATED_MARKETING)
    }

    url = steps[Point.MANAGE_DATA]["people"]

    assert url == f"/w/{workspace.slug}/audiences/"
    assert "New audience" in client.get(url).content.decode()
    assert steps[Point.AUTOMATED_MARKETING]["people"] == ""


def test_it_costs_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    scene = make_scene()
    with django_assert_num_queries(1):
        read(scene.workspace)


def test_the_set_up_shows_it_until_it_is_done(client: Client) -> None:
    scene = make_scene()
    client.force_login(make_administrator(scene.workspace))
    assert "Send a test that is accepted" in client.get("/admin/").content.decode()
    make_test(scene.webhook, status_code=200)
    journey = scene.journey()
    publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=timezone.now()
    )

    assert "First steps" not in client.get("/admin/").content.decode()


def test_a_developer_reads_who_does_what_is_not_theirs(client: Client) -> None:
    workspace = make_workspace()
    client.force_login(make_member(workspace, Preset.DEVELOPER))

    page = client.get("/admin/").content.decode()

    assert "Publish the first journey" in page
    assert "To the journeys" not in page
    assert "/admin/webhooks/webhook/add/" in page
