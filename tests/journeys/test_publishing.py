from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from journeys import drafts, publishing, runner
from journeys.choices import JourneyState, RunState
from journeys.components.audience import When
from journeys.components.event import Condition
from journeys.components.webhook import WebhookConfig
from journeys.definition import Document
from journeys.models import Journey, JourneyVersion, Run
from journeys.publishing import NotPublishable
from tests.identity.factories import make_audience, make_event
from tests.journeys.factories import (
    NICKNAME,
    NOW,
    SHOP,
    Scene,
    make_purchase,
    make_scene,
    take_point,
)
from tests.webhooks.factories import make_administrator, make_member
from webhooks import registering
from webhooks.choices import PlanState
from webhooks.models import Plan, TestSend, WebhookUse
from webhooks.rendering import EmptyRule, Source, Variable
from workspaces.choices import Preset
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def publish(scene: Scene, journey: Journey) -> publishing.Publication:
    return publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=NOW
    )


# --- Review ---------------------------------------------------------------------------------------


def test_the_review_counts_reached_skipped_and_defaulted(scene: Scene) -> None:
    journey = scene.journey()

    review = publishing.review(journey=journey, user=scene.member, now=NOW)

    assert review.problems == []
    assert review.people == 3
    (step,) = review.steps
    assert step.reach.reached == 2
    assert step.reach.skipped == {"no_id": 1}
    assert step.reach.defaulted == {("content", "name"): 1}
    assert step.reach.blanked == {}
    assert step.last_test is None
    assert review.opening is not None
    assert review.opening.starts_at == NOW


def test_the_review_counts_every_reason_once(scene: Scene) -> None:
    orders = Variable("orders", Source.TAG, "orders", EmptyRule.SKIP)
    blank = replace(NICKNAME, empty=EmptyRule.NOTHING, default="")
    journey = scene.journey(
        steps=[
            scene.config(reach_id_type=scene.email.pk),
            scene.config(
                values={"content": "${name} ${orders}"}, variables={"content": (blank, orders)}
            ),
            scene.config(id_type=scene.email.pk, variables={"content": (blank,)}),
        ]
    )
    scene.person("13800000009", "z@example.com", orders=0)
    latest = scene.workspace.profiles.latest("pk")
    scene.audience.members.model.objects.create(audience=scene.audience, profile=latest)

    first, second, third = publishing.review(journey=journey, user=scene.member, now=NOW).steps

    assert first.reach.reached == 2
    assert first.reach.skipped == {"no_id": 1, "no_reach_id": 1}
    # 0 is a value, so the newcomer is reached; only the second person has no orders.
    assert second.reach.reached == 2
    assert second.reach.skipped == {"no_id": 1, "variable_empty": 1}
    assert second.reach.blanked == {("content", "name"): 1}
    assert third.reach.reached == 3
    assert third.reach.blanked == {("content", "name"): 1}


def test_somebody_in_two_audiences_is_one_person(scene: Scene) -> None:
    other = make_audience(scene.workspace, people=[*scene.people[:1], scene.person("13800000005")])
    journey = scene.journey(audiences=(scene.audience.pk, other.pk))

    review = publishing.review(journey=journey, user=scene.member, now=NOW)

    assert review.people == 4
    assert review.steps[0].reach.reached == 3


def test_the_review_of_an_event_journey_counts_last_months_events(scene: Scene) -> None:
    purchase = make_purchase(scene)
    for person, attributes in (
        (scene.people[0], {"amount": 80, "shop": "Berlin"}),
        (scene.people[0], {"amount": 60}),
        (scene.people[1], {"amount": 10, "shop": "Berlin"}),
        (scene.people[2], {"amount": 70, "shop": "Paris"}),
    ):
        make_event(person, purchase, attributes=attributes, occurred_at=NOW - timedelta(days=2))
    old = NOW - timedelta(days=31)
    make_event(scene.people[0], purchase, attributes={"amount": 99}, occurred_at=old)
    config = scene.config(values={"content": "At ${shop}"}, variables={"content": (SHOP,)})
    journey = scene.event_journey(
        purchase, steps=[config], conditions=(Condition("amount", "at_least", 50),)
    )

    review = publishing.review(journey=journey, user=scene.member, now=NOW)

    assert review.is_recent
    assert (review.counted.entries, review.people) == (3, 2)
    assert review.steps[0].reach.reached == 1
    assert review.steps[0].reach.skipped == {"no_id": 1, "variable_empty": 1}
    assert not review.must_type_number


def test_the_review_asks_as_many_queries_for_many_steps(
    scene: Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    journey = scene.journey(steps=[scene.config()] * 10)

    with django_assert_max_num_queries(50):
        publishing.review(journey=journey, user=scene.member, now=NOW)


def test_above_the_workspaces_limit_the_number_is_typed(scene: Scene) -> None:
    scene.workspace.confirm_above = 2
    scene.workspace.save()
    journey = scene.journey()

    assert publishing.review(journey=journey, user=scene.member, now=NOW).must_type_number


def test_the_last_test_says_whether_the_step_changed_since(scene: Scene) -> None:
    journey = scene.journey()
    (step,) = Document.from_json(journey.draft).steps
    fingerprint = WebhookConfig.from_json(step.config).fingerprint(scene.webhook.revisions.get())
    test = TestSend.objects.create(
        workspace=scene.workspace,
        webhook=scene.webhook,
        revision=1,
        step_key=step.key,
        fingerprint=fingerprint,
        sent_at=NOW,
        id_type_code="MOBILE",
        masked_id="138****0001",
        accepted=True,
        outcome="answered",
        duration_ms=500,
        request_text="",
    )

    (reviewed,) = publishing.review(journey=journey, user=scene.member, now=NOW).steps
    assert (reviewed.last_test, reviewed.changed_since_test) == (test, False)

    drafts.save_step(
        journey=journey,
        revision=journey.draft_revision,
        user=scene.member,
        key=step.key,
        name="Step 1",
        config=scene.config(values={"content": "Other ${name}"}),
        now=NOW,
    )
    (reviewed,) = publishing.review(journey=journey, user=scene.member, now=NOW).steps
    assert reviewed.changed_since_test


def test_the_estimate_follows_the_webhooks_limits(scene: Scene) -> None:
    scene.webhook.rate_per_second, scene.webhook.batch_size = 10, 100

    assert publishing.estimated_seconds(scene.webhook, 100_000, None) == 100


# --- What is missing ------------------------------------------------------------------------------


def test_what_is_missing_names_the_step_and_the_field(scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config(id_type=None)], audiences=())
    document = Document.from_json(journey.draft)
    assert document.start is not None

    found = publishing.check(journey=journey, user=scene.member, now=NOW)

    assert [(each.step, each.field) for each in found] == [
        (document.start.key, "audiences"),
        (document.steps[1].key, "id_type"),
    ]
    with pytest.raises(NotPublishable) as caught:
        publish(scene, journey)
    assert caught.value.problems == found
    assert not JourneyVersion.objects.exists()


def test_a_journey_without_a_step_cannot_be_published(scene: Scene) -> None:
    journey = scene.journey(steps=[])

    with pytest.raises(NotPublishable, match="Add at least one step"):
        publish(scene, journey)


def test_nobody_in_the_audience_is_told_before_publishing(scene: Scene) -> None:
    empty = make_audience(scene.workspace)
    journey = scene.journey(audiences=(empty.pk,))

    with pytest.raises(NotPublishable, match="Nobody is in this audience"):
        publish(scene, journey)


def test_an_audience_without_the_id_is_told_before_publishing(scene: Scene) -> None:
    nobody = make_audience(scene.workspace, people=scene.people[2:])
    journey = scene.journey(audiences=(nobody.pk,))

    with pytest.raises(NotPublishable, match="No one in this audience has Mobile"):
        publish(scene, journey)


@pytest.mark.parametrize("loss", ["role", "usage", "ended"])
def test_nobody_publishes_without_both_gates(scene: Scene, loss: str) -> None:
    journey = scene.journey()
    if loss == "role":
        take_point(scene)
    elif loss == "usage":
        scene.webhook.membergrant_set.all().delete()
    else:
        scene.webhook.membergrant_set.update(ends_at=timezone.now())

    with pytest.raises(NotPublishable) as caught:
        publish(scene, journey)

    assert [problem.code for problem in caught.value.problems] == ["gate"]
    assert not Run.objects.exists()


def test_nobody_publishes_without_the_permission_to_publish(scene: Scene) -> None:
    journey = scene.journey()
    analyst = make_member(scene.workspace, Preset.ANALYST)

    with pytest.raises(PermissionDenied):
        publishing.publish(journey=journey, revision=journey.draft_revision, user=analyst, now=NOW)


def test_a_draft_that_changed_after_the_review_is_not_published(scene: Scene) -> None:
    journey = scene.journey()
    reviewed = journey.draft_revision
    drafts.rename(
        journey=journey,
        revision=reviewed,
        user=make_administrator(scene.workspace),
        name="Other",
        now=NOW,
    )

    with pytest.raises(drafts.StaleDraft):
        publishing.publish(journey=journey, revision=reviewed, user=scene.member, now=NOW)
    assert not JourneyVersion.objects.exists()


# --- Publishing -----------------------------------------------------------------------------------


def test_publishing_freezes_and_plans(scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config(reach_id_type=scene.email.pk)])

    done = publish(scene, journey)

    assert done.version.number == 1
    assert done.version.document == journey.draft
    assert (done.run.state, done.run.responsible) == (RunState.SCHEDULED, scene.member)
    assert journey.state == JourneyState.RUNNING
    first, second = Plan.objects.filter(run_id=done.run.pk).order_by("pk")
    assert first.responsible == scene.member
    assert first.definition["id_type"] == {
        "id": scene.mobile.pk,
        "code": "MOBILE",
        "name": "Mobile",
    }
    assert second.definition["reach_id_type"]["code"] == "EMAIL"
    assert first.labels == {
        "workspace": scene.workspace.name,
        "journey": "Welcome",
        "journey-version": "1",
        "step": "Step 1",
        "run": str(done.run.pk),
    }
    use = WebhookUse.objects.get(webhook=scene.webhook)
    assert (use.is_live, use.live_revision) == (True, 1)
    entry = AuditEntry.objects.get(action="journey.published")
    assert (entry.actor_id, entry.changes) == (scene.member.pk, {"version": [None, 1]})


def test_a_later_start_leaves_the_journey_not_started(scene: Scene) -> None:
    at = NOW + timedelta(hours=1)
    journey = scene.journey(when=When.AT, at=at)

    done = publish(scene, journey)

    assert journey.state == JourneyState.SCHEDULED
    assert done.run.starts_at == at
    assert runner.sweep(now=NOW).started == 0


def test_a_scheduled_start_is_replaced_by_publishing_again(scene: Scene) -> None:
    journey = scene.journey(when=When.AT, at=NOW + timedelta(hours=1))
    first = publish(scene, journey).run

    second = publish(scene, journey).run

    first.refresh_from_db()
    assert (first.state, first.state_reason) == (RunState.STOPPED, "replaced")
    assert Plan.objects.get(run_id=first.pk).state == PlanState.CANCELLED
    assert second.version.number == 2
    assert journey.state == JourneyState.SCHEDULED


def test_a_journey_that_is_sending_is_not_started_over(scene: Scene) -> None:
    journey = scene.journey()
    publish(scene, journey)

    with pytest.raises(NotPublishable, match="under way"):
        publish(scene, journey)


def test_a_new_version_of_an_event_journey_takes_the_place_of_the_old_one(scene: Scene) -> None:
    journey = scene.event_journey(make_purchase(scene))
    first = publish(scene, journey).run
    assert (first.state, first.started_at) == (RunState.RUNNING, NOW)
    scene.rename_step(journey, "Another name")

    second = publish(scene, journey).run

    first.refresh_from_db()
    assert first.closed_at == NOW
    assert second.closed_at is None
    assert journey.state == JourneyState.RUNNING


def test_a_second_click_publishes_nothing_twice(scene: Scene) -> None:
    journey = scene.event_journey(make_purchase(scene))
    first = publish(scene, journey)

    assert publish(scene, journey) == first
    assert JourneyVersion.objects.count() == 1


def test_a_version_keeps_its_revision_while_the_webhook_goes_on(scene: Scene) -> None:
    journey = scene.journey()
    publish(scene, journey)
    scene.webhook.parameters.update(display_name="Content")
    registering.settle(webhook=scene.webhook, actor=None, now=NOW)

    scene.webhook.refresh_from_db()
    assert scene.webhook.revision == 2
    assert Plan.objects.get().revision.number == 1
    assert WebhookUse.objects.get().live_revision == 1
