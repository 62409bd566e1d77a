from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from identity.models import Identifier, IncomingEvent, Profile
from journeys import publishing, runner, runs
from journeys.components.audience import When
from journeys.components.event import Condition, Reentry
from journeys.explain import Timeline, explain
from journeys.models import Journey
from tests.journeys.factories import Scene, make_purchase, make_scene
from webhooks.choices import BreakerState, PlanState
from webhooks.models import Plan, WebhookControl

pytestmark = pytest.mark.django_db(transaction=True)


def start(scene: Scene, journey: Journey) -> None:
    publishing.publish(
        journey=journey,
        revision=journey.draft_revision,
        user=scene.member,
        now=timezone.now(),
    )
    sweep()


def sweep() -> None:
    while not runner.sweep(now=timezone.now()).is_idle:
        pass


def tell(journey: Journey, person: Profile, *, in_clear: bool = True) -> Timeline:
    return explain(journey=journey, person=person, in_clear=in_clear, now=timezone.now())


def test_an_unpublished_journey_sent_nothing() -> None:
    scene = make_scene()

    told = tell(scene.journey(), scene.people[0])

    assert told.verdict == "Not sent: the journey has not been published."


def test_a_run_that_has_not_started_says_when() -> None:
    scene = make_scene()
    journey = scene.journey(when=When.AT, at=timezone.now() + timedelta(hours=1))
    start(scene, journey)

    assert tell(journey, scene.people[0]).verdict.startswith("Not sent yet: the run starts on ")


def test_whoever_was_not_in_the_audience_is_told_so() -> None:
    scene = make_scene()
    journey = scene.journey()
    start(scene, journey)

    told = tell(journey, scene.person("13800000077"))

    assert told.verdict.startswith("Not sent: not in the audience when it was counted on ")
    assert told.facts[-1].sentence == "Not in “Members” now."


def test_whoever_waits_is_told_for_what() -> None:
    scene = make_scene()
    journey = scene.journey()
    start(scene, journey)
    told = tell(journey, scene.people[0])
    assert told.verdict == "Waiting: it will be sent soon."
    sentences = [fact.sentence for fact in told.facts]
    assert "In the audience when it was counted." in sentences
    # The oldest first, then what holds now, last what is still to come.
    known = "Mobile known now: 13800000001 (crm)."
    assert sentences[-2:] == [known, "It will be sent soon."]
    dates = [fact.at for fact in told.facts if fact.at]
    assert dates == sorted(dates)
    assert len(dates) == len(told.facts) - 2

    breaker = WebhookControl.objects.filter(webhook=scene.webhook)
    breaker.update(breaker=BreakerState.OPEN, breaker_until=timezone.now())
    assert tell(journey, scene.people[0]).verdict.startswith(
        "Waiting: “CRM coupons” is in trouble; it is asked again on "
    )
    breaker.update(breaker=BreakerState.PROBING)
    assert "a few requests are trying it again" in tell(journey, scene.people[0]).verdict

    runs.pause(journey=journey, user=scene.member, now=timezone.now())
    assert tell(journey, scene.people[0]).verdict == "Waiting: the journey is paused."


def test_an_event_that_missed_a_condition_names_it() -> None:
    scene = make_scene()
    purchase = make_purchase(scene)
    journey = scene.event_journey(purchase, conditions=(Condition("amount", "at_least", 50),))
    start(scene, journey)
    scene.report(scene.people[0], "e-1", amount=49)
    assert tell(journey, scene.people[0]).verdict.startswith("Waiting: the event has come in")
    sweep()

    assert tell(journey, scene.people[0]).verdict == (
        "Not sent: the event does not meet: amount is at least 50."
    )
    assert tell(journey, scene.people[1]).verdict == (
        "Not sent: no such event of this person is known."
    )


def test_an_event_that_the_reentry_rule_kept_out_says_so() -> None:
    scene = make_scene()
    journey = scene.event_journey(make_purchase(scene), reentry=Reentry.ONCE)
    start(scene, journey)
    for event_id in ("e-1", "e-2"):
        scene.report(scene.people[0], event_id, amount=1)
        sweep()

    told = tell(journey, scene.people[0])

    sentences = [fact.sentence for fact in told.facts if fact.kind == "event"]
    assert sentences == [
        "The event came in and let the person in.",
        "The re-entry rule keeps the person out: already entered before.",
    ]


def test_an_event_from_before_the_journey_listened_says_so() -> None:
    scene = make_scene()
    journey = scene.event_journey(make_purchase(scene))
    scene.report(scene.people[0], "e-1", amount=1)
    sweep()
    IncomingEvent.objects.update(taken_at=timezone.now() - timedelta(minutes=1))
    start(scene, journey)

    assert tell(journey, scene.people[0]).verdict == (
        "Not sent: the event came in before the journey listened."
    )


def test_a_merged_person_is_explained_with_all_former_numbers() -> None:
    scene = make_scene()
    journey = scene.journey()
    start(scene, journey)
    older, younger = scene.people[0], scene.people[1]
    younger.identifiers.all().delete()
    Profile.objects.filter(pk=younger.pk).update(merged_into=older, tags={}, tag_times={})
    scene.audience.members.filter(profile=older).delete()

    assert tell(journey, older).verdict.startswith("Waiting")


def test_a_timeline_of_a_large_run_is_read_from_few_rows() -> None:
    scene = make_scene()
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH made AS (INSERT INTO identity_profile (workspace_id, tags, tag_times, created_at)"
            " SELECT %s, '{}', '{}', now() FROM generate_series(1, 5000) RETURNING qaid)"
            " INSERT INTO identity_audiencemember (audience_id, profile_id)"
            " SELECT %s, qaid FROM made",
            [scene.workspace.pk, scene.audience.pk],
        )
    journey = scene.journey()
    start(scene, journey)
    last = scene.audience.members.order_by("profile_id").last()
    assert last is not None

    assert tell(journey, last.profile).verdict == "Waiting: it will be sent soon."


def test_nobody_waits_in_a_run_that_has_ended() -> None:
    scene = make_scene()
    journey = scene.journey()
    start(scene, journey)
    Plan.objects.update(state=PlanState.CANCELLED)

    told = tell(journey, scene.people[0])

    assert told.verdict == "Not sent: the person was taken out when the run was stopped."


def test_a_step_is_explained_after_its_id_type_was_deleted() -> None:
    scene = make_scene()
    journey = scene.journey()
    start(scene, journey)
    Identifier.objects.filter(id_type=scene.mobile).delete()
    scene.mobile.delete()

    told = tell(journey, scene.people[0])

    assert told.verdict == "Waiting: it will be sent soon."
    assert "No Mobile in the only data source." in [fact.sentence for fact in told.facts]
