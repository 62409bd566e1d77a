"""Publishing, and what is done to a run: status codes, gates, counts, sentences."""

import re
import time
from datetime import timedelta
from typing import Final
from uuid import UUID

import pytest
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from journeys import drafts, ending, publishing, runner
from journeys.choices import JourneyState, RunState
from journeys.components.audience import When
from journeys.forms.webhook import field_name
from journeys.models import Journey, Run
from tests.factories import make_administrator, make_member, make_workspace
from tests.identity.factories import (
    make_audience,
    make_data_source,
    make_identifier,
    make_profile,
)
from tests.journeys.factories import Scene, grant, make_purchase, make_scene
from tests.webhooks.factories import make_webhook
from webhooks import registering
from webhooks.choices import Encryption, ParameterType
from webhooks.models import Chunk, MemberGrant, Plan
from webhooks.rendering import EmptyRule, Source, Variable
from workspaces.models import Workspace
from workspaces.points import Point

pytestmark = pytest.mark.django_db

HTMX: Final = {"HX-Request": "true"}
NUMBERS_QUERIES: Final = 20


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


def test_the_review_says_that_people_wait_while_sending_is_stopped(
    member: Client, scene: Scene
) -> None:
    journey = scene.journey()
    said = "Sending is stopped in this workspace (Wrong prices). People wait until it goes on."

    before = member.get(url("publish", journey), {"count": ""}).content.decode()
    Workspace.objects.update(
        sending_stopped_at=timezone.now(), sending_stopped_reason="Wrong prices"
    )
    after = member.get(url("publish", journey), {"count": ""}).content.decode()

    assert said not in before
    assert said in after
    assert "Send to 2 people" in after


def test_the_review_counts_and_its_button_names_the_act(member: Client, scene: Scene) -> None:
    shown = member.get(url("publish", scene.journey()), {"count": ""}).content.decode()

    assert "Send to 2 people" in shown
    assert "Skipped: No Mobile known in any data source." in shown
    assert "of whom get the default “Member” for ${name}" in shown
    assert "This step has never been tested." in shown


def test_publishing_leads_to_the_run(member: Client, scene: Scene) -> None:
    journey = scene.journey()

    answer = member.post(url("publish", journey), {"seen": seen(member, journey)}, headers=HTMX)

    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"] == url("run", journey, journey.runs.get().pk)
    journey.refresh_from_db()
    assert journey.state == JourneyState.RUNNING


def test_what_is_missing_is_a_list_that_leads_to_the_fields(member: Client, scene: Scene) -> None:
    journey = scene.journey(audiences=(), steps=[scene.config(values={"content": ""})])
    step = journey.draft["steps"][0]["key"]

    shown = member.get(url("publish", journey), {"count": ""}).content.decode()

    assert "2 things are missing" in shown
    assert "Choose at least one audience." in shown
    assert f'data-open-step="{step}"' in shown
    assert f'data-field="{field_name("content")}"' in shown
    assert 'type="submit"' not in shown


def test_a_draft_that_lacks_something_is_not_published(member: Client, scene: Scene) -> None:
    journey = scene.journey()
    token = seen(member, journey)
    MemberGrant.objects.filter(user=scene.member).delete()

    answer = member.post(url("publish", journey), {"seen": token})

    assert answer.status_code == 422
    assert "The usage permission for this webhook is missing." in answer.content.decode()
    assert not journey.runs.exists()


def test_the_number_is_typed_above_the_workspaces_limit(member: Client, scene: Scene) -> None:
    scene.workspace.confirm_above = 1
    scene.workspace.save()
    journey = scene.journey()
    token = seen(member, journey)

    for wrong in ("", "3", "22"):
        refused = member.post(url("publish", journey), {"seen": token, "number": wrong})
        assert refused.status_code == 422
        assert "Type 2, the number of people, to confirm." in refused.content.decode()
    assert not journey.runs.exists()

    assert member.post(url("publish", journey), {"seen": token, "number": " 2 "}).status_code == 302
    assert journey.runs.count() == 1


def test_numbers_older_than_five_minutes_are_counted_again(
    member: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    journey = scene.journey()
    token = seen(member, journey)
    later = time.time() + 301
    monkeypatch.setattr("django.core.signing.time.time", lambda: later)

    answer = member.post(url("publish", journey), {"seen": token})

    assert answer.status_code == 409
    assert "These were counted just now." in answer.content.decode()
    assert "Send to 2 people" in answer.content.decode()
    assert not journey.runs.exists()


@pytest.mark.parametrize(
    "token", ["", "nonsense", signing.dumps({"journey": 1})], ids=["none", "nonsense", "another's"]
)
def test_only_what_was_shown_is_published(member: Client, scene: Scene, token: str) -> None:
    journey = scene.journey()

    assert member.post(url("publish", journey), {"seen": token}).status_code == 409
    assert not journey.runs.exists()


def test_the_review_of_another_journey_publishes_nothing(member: Client, scene: Scene) -> None:
    journey, other = scene.journey(), scene.journey()

    assert member.post(url("publish", other), {"seen": seen(member, journey)}).status_code == 409
    assert not Run.objects.exists()


def test_a_draft_that_somebody_changed_meanwhile_is_shown_again(
    member: Client, scene: Scene
) -> None:
    journey = scene.journey()
    token = seen(member, journey)
    drafts.rename(
        journey=journey,
        revision=journey.draft_revision,
        user=scene.member,
        name="Goodbye",
        now=timezone.now(),
    )

    answer = member.post(url("publish", journey), {"seen": token})

    assert answer.status_code == 409
    assert "changed this journey at" in answer.content.decode()
    assert not journey.runs.exists()


def test_a_start_at_a_time_names_it_with_the_zone(member: Client, scene: Scene) -> None:
    at = timezone.now() + timedelta(days=1)
    journey = scene.journey(when=When.AT, at=at)

    shown = member.get(url("publish", journey), {"count": ""}).content.decode()

    local = timezone.localtime(at, scene.workspace.zone)
    zone = scene.workspace.time_zone
    assert f"Start on {local.day} {local:%b}, {local:%H:%M} ({zone})" in shown


def test_an_event_journey_starts_listening(member: Client, scene: Scene) -> None:
    journey = scene.event_journey(make_purchase(scene))

    review = member.get(url("publish", journey), {"count": ""}).content.decode()
    member.post(url("publish", journey), {"seen": seen(member, journey)})
    run = member.get(url("run", journey, journey.runs.get().pk)).content.decode()
    scene.report(scene.people[0], "order-1")
    runner.sweep(now=timezone.now())
    scene.rename_step(journey, "Another name")
    again = member.get(url("publish", journey), {"count": ""}).content.decode()

    assert "Start listening" in review
    assert "Inside now" not in review
    assert "Listening for" in run
    assert "0 people have entered" in run
    assert "1 person, who stays in the version before and finishes there" in again


def test_who_may_edit_and_not_publish_sees_no_review(client: Client, scene: Scene) -> None:
    journey = scene.journey()
    client.force_login(make_member(scene.workspace, points=[Point.AUTOMATED_MARKETING]))

    assert client.get(url("publish", journey)).status_code == 403
    assert client.post(url("publish", journey), {"seen": "x"}).status_code == 403


# --- The run --------------------------------------------------------------------------------------


def test_the_run_says_why_people_were_skipped(member: Client, scene: Scene) -> None:
    scene.webhook.parameters.filter(name="content").update(display_name="Greeting")
    registering.settle(webhook=scene.webhook, actor=None, now=timezone.now())
    run = publish(scene)
    runner.sweep(now=timezone.now())
    plan = Plan.objects.get(run_id=run.pk)
    tallies = {"skipped:no_id": 1, "default:content:name": 1, "dead:rejected": 1}
    plan.chunks.update(queued=0, unsent=0, delivered=1, dead=1, skipped=1, tallies=tallies)

    shown = member.get(url("run", run.journey, run.pk)).content.decode()

    assert "3 of 3 people done" in shown
    assert "No Mobile known in any data source." in shown
    assert "The other system refused the request." in shown
    assert "“Member”" in shown
    # The parameter as marketers know it, not by its name in the request.
    assert "Greeting" in shown
    assert ">content<" not in shown


def test_the_numbers_come_alone_and_end_when_the_run_does(member: Client, scene: Scene) -> None:
    run = publish(scene)
    address = url("run_numbers", run.journey, run.pk)

    while_it_goes = member.get(address, {"known": "running.scheduled"}).content.decode()
    Run.objects.update(state="finished", ended_at=timezone.now(), started_at=timezone.now())
    Journey.objects.update(state="finished")
    after = member.get(address, {"known": "running.scheduled"}).content.decode()

    assert "<html" not in while_it_goes
    assert "every 2s" in while_it_goes
    assert "hx-swap-oob" not in while_it_goes
    assert "every 2s" not in after
    assert 'id="run-actions" hx-swap-oob="true"' in after


def test_that_sending_is_stopped_is_said_once_and_while_the_page_is_open(
    member: Client, scene: Scene
) -> None:
    run = publish(scene)
    stopped = {"sending_stopped_at": timezone.now(), "sending_stopped_reason": "Wrong prices"}
    Workspace.objects.update(**stopped)
    address = url("run_numbers", run.journey, run.pk)

    page = member.get(url("run", run.journey, run.pk))
    told = member.get(address, {"known": "running.scheduled"}).content.decode()
    known = member.get(address, {"known": page.context["known"]}).content.decode()
    Workspace.objects.update(sending_stopped_at=None, sending_stopped_reason="")
    over = member.get(address, {"known": page.context["known"]}).content.decode()

    assert page.content.decode().count("Wrong prices") == 1
    assert told.count("Sending is stopped: Wrong prices") == 1
    assert "Wrong prices" not in known
    assert 'id="stopped" role="alert" hidden hx-swap-oob="true"' in over


def test_the_numbers_cost_as_many_queries_for_many_chunks(
    member: Client, scene: Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = publish(scene)
    runner.sweep(now=timezone.now())
    member.get(url("run_numbers", run.journey, run.pk))
    chunk = Chunk.objects.get()
    for number in range(1, 40):
        chunk.pk, chunk.number = None, chunk.number + number * 10
        chunk.save()

    with django_assert_max_num_queries(NUMBERS_QUERIES):
        member.get(url("run_numbers", run.journey, run.pk))


def test_people_keep_their_place_while_it_is_paused(member: Client, scene: Scene) -> None:
    run = publish(scene)
    runner.sweep(now=timezone.now())

    asked = member.get(url("pause", run.journey)).content.decode()
    paused = member.post(url("pause", run.journey), headers=HTMX)
    shown = member.get(url("run", run.journey, run.pk)).content.decode()

    assert "Nobody is sent to; 3 people keep their place." in asked
    assert paused.status_code == 204
    assert "run-changed" in paused.headers["HX-Trigger"]
    assert "Paused. Nobody is sent to; 3 people keep their place." in shown
    assert member.post(url("pause", run.journey), headers=HTMX).status_code == 422
    assert member.post(url("resume", run.journey)).status_code == 302
    assert member.post(url("resume", run.journey), headers=HTMX).status_code == 422


def test_resuming_needs_both_gates_and_names_the_missing_one(member: Client, scene: Scene) -> None:
    run = publish(scene)
    member.post(url("pause", run.journey))
    MemberGrant.objects.filter(user=scene.member).delete()

    answer = member.post(url("resume", run.journey), headers=HTMX)

    assert answer.status_code == 403
    assert "usage permission" in answer.headers["HX-Trigger"]
    run.journey.refresh_from_db()
    assert run.journey.state == JourneyState.PAUSED


def test_run_versions_and_a_person_are_found_from_the_drawing(member: Client, scene: Scene) -> None:
    run = publish(scene)
    its_page, versions = url("run", run.journey, run.pk), url("versions", run.journey)
    editor = url("editor", run.journey)
    other = Client()
    other.force_login(make_member(scene.workspace, points=[Point.AUTOMATED_MARKETING]))

    drawn, for_others = member.get(editor).content.decode(), other.get(editor).content.decode()

    for address in (its_page, f"{its_page}#find-person", versions):
        assert f'class="menu-item" href="{address}"' in drawn
    assert 'id="find-person"' in member.get(its_page).content.decode()
    assert "#find-person" not in for_others
    assert f'class="menu-item" href="{versions}"' in for_others


def test_a_stop_asks_what_becomes_of_those_inside(member: Client, scene: Scene) -> None:
    run = publish(scene)
    before_anybody = member.get(url("stop", run.journey)).content.decode()
    runner.sweep(now=timezone.now())

    asked = member.get(url("stop", run.journey)).content.decode()
    undecided = member.post(url("stop", run.journey), {"inside": "both"})
    stopped = member.post(url("stop", run.journey), {"inside": "take_out"}, headers=HTMX)

    assert "inside" not in before_anybody.replace('name="inside" value="finish"', "")
    assert "3 people are still inside" in asked
    assert "Finish 3 people inside" in asked
    assert "Take 3 people out" in asked
    assert undecided.status_code == 422
    assert "Choose what becomes of the people inside." in undecided.content.decode()
    assert stopped.status_code == 204
    run.refresh_from_db()
    assert run.state == "stopped"


@pytest.mark.parametrize("name", ["pause", "resume", "stop"])
def test_only_who_may_publish_pauses_resumes_and_stops(
    client: Client, scene: Scene, name: str
) -> None:
    run = publish(scene)
    client.force_login(make_member(scene.workspace, points=[Point.AUTOMATED_MARKETING]))

    assert client.post(url(name, run.journey), {"inside": "finish"}).status_code == 403
    assert "Pause" not in client.get(url("run", run.journey, run.pk)).content.decode()


# --- One person -----------------------------------------------------------------------------------


def test_one_person_is_found_by_any_id_the_verdict_first(member: Client, scene: Scene) -> None:
    run = publish(scene)
    runner.sweep(now=timezone.now())

    answer = member.post(url("person", run.journey, run.pk), {"id": "san@example.com"})

    shown = answer.content.decode()
    assert answer.status_code == 200
    assert "it will be sent soon." in shown
    assert shown.index("verdict") < shown.index("Version 1 was published.")


def test_ids_are_masked_for_who_may_not_see_them(client: Client, scene: Scene) -> None:
    run = publish(scene)
    runner.sweep(now=timezone.now())
    address = url("person", run.journey, run.pk)

    client.force_login(make_member(scene.workspace, points=[Point.VIEW_DELIVERIES]))
    masked = client.post(address, {"id": "san@example.com"}).content.decode()
    seeing = [Point.VIEW_DELIVERIES, Point.VIEW_PROFILES]
    client.force_login(make_member(scene.workspace, points=seeing))
    clear = client.post(address, {"id": "san@example.com"}).content.decode()

    assert "13800000001" not in masked
    assert "138****0001" in masked
    assert "13800000001" in clear


@pytest.mark.parametrize("typed", ["", " ", "1" * 501])
def test_a_whole_id_has_to_be_typed(member: Client, scene: Scene, typed: str) -> None:
    run = publish(scene)

    answer = member.post(url("person", run.journey, run.pk), {"id": typed})

    assert answer.status_code == 422
    assert "Enter the whole ID of one person." in answer.content.decode()


def test_nobody_of_another_tenant_is_found(member: Client, scene: Scene) -> None:
    run = publish(scene)
    other = make_workspace()
    source, email = make_data_source(other), other.id_types.get(code="EMAIL")
    make_identifier(make_profile(other), email, "x@example.com", source=source)

    answer = member.post(url("person", run.journey, run.pk), {"id": "x@example.com"})

    assert "Nobody has this ID." in answer.content.decode()


def test_finding_people_needs_its_own_right(client: Client, scene: Scene) -> None:
    run = publish(scene)
    client.force_login(make_member(scene.workspace, points=[Point.PUBLISH_JOURNEYS]))

    assert client.post(url("person", run.journey, run.pk), {"id": "1"}).status_code == 403
    assert "Find a person" not in client.get(url("run", run.journey, run.pk)).content.decode()


# --- Versions and tenants -------------------------------------------------------------------------


def test_the_versions_say_what_was_changed(member: Client, scene: Scene) -> None:
    journey = scene.event_journey(make_purchase(scene))
    publish(scene, journey)
    step = journey.draft["steps"][0]
    changed = {**step["config"], "values": {"content": "Hello"}, "variables": {}}
    drafts.save_step(
        journey=journey,
        revision=journey.draft_revision,
        user=scene.member,
        key=UUID(step["key"]),
        name="Greeting",
        config=changed,
        now=timezone.now(),
    )
    unpublished = member.get(url("versions", journey)).content.decode()
    publish(scene, journey)
    published = member.get(url("versions", journey)).content.decode()

    assert "Changed in the draft since" in unpublished
    assert "“Greeting” is changed: step name, variables, content" in unpublished
    assert "Changed in the draft since" not in published
    assert "Version 2" in published
    assert "“Greeting” is changed: step name, variables, content" in published
    assert "<del>Dear ${name} Hello</del> → <ins>Hello</ins>" in published


def test_the_versions_call_a_parameter_by_the_name_that_the_panel_shows(
    member: Client, scene: Scene
) -> None:
    worth = {"name": "p_1", "display_name": "Coupon worth", "type": ParameterType.NUMERIC}
    webhook = make_webhook(scene.workspace, parameters=[worth], id_types=[scene.mobile])
    grant(scene.member, webhook)
    config = scene.config(webhook=webhook.pk, variables={}, values={"p_1": "20"})
    journey = scene.journey(steps=[config])
    publish(scene, journey)
    step = journey.draft["steps"][0]
    drafts.save_step(
        journey=journey,
        revision=journey.draft_revision,
        user=scene.member,
        key=UUID(step["key"]),
        name=step["name"],
        config={**step["config"], "values": {"p_1": "50"}},
        now=timezone.now(),
    )

    shown = member.get(url("versions", journey)).content.decode()

    assert "is changed: Coupon worth." in shown
    assert "<dt>Coupon worth</dt>" in shown
    assert "p_1" not in shown


def test_the_versions_show_what_was_chosen_before_and_after_by_name(
    member: Client, scene: Scene
) -> None:
    journey = scene.journey()
    publish(scene, journey)
    more = make_audience(scene.workspace, name="Regulars", people=[])
    start, step = journey.draft["start"], journey.draft["steps"][0]
    guest = Variable("name", Source.TAG, "nickname", EmptyRule.DEFAULT, "Guest")
    changed = scene.config(
        id_type=scene.email.pk, encryption=Encryption.SHA256, variables={"content": (guest,)}
    )
    for key, name, config in (
        (start["key"], start["name"], scene.start(audiences=(more.pk,))),
        (step["key"], step["name"], changed),
    ):
        drafts.save_step(
            journey=journey,
            revision=journey.draft_revision,
            user=scene.member,
            key=UUID(key),
            name=name,
            config=config,
            now=timezone.now(),
        )

    page = member.get(url("versions", journey))

    changes = {
        value.field: value for each in page.context["draft_changes"] for value in each.values
    }
    told = {field: (value.before, value.after) for field, value in changes.items()}
    assert told == {
        "Target audience": ("Members", "Regulars"),
        "ID type to send": ("Mobile", "Email"),
        "Encryption": ("Not encrypted", "SHA-256"),
        "Variables": (
            "${name} · Nickname, else “Member”",
            "${name} · Nickname, else “Guest”",
        ),
    }
    assert "<del>Mobile</del> → <ins>Email</ins>" in page.content.decode()


def test_a_version_goes_back_into_the_draft_and_undo_takes_it_out(
    member: Client, scene: Scene
) -> None:
    journey = scene.journey()
    publish(scene, journey)
    scene.rename_step(journey, "Greeting")
    changed = dict(journey.draft)
    where = url("version_restore", journey, 1)

    stale = member.post(where, {"revision": journey.draft_revision - 1}, headers=HTMX)
    answer = member.post(where, {"revision": journey.draft_revision}, headers=HTMX)

    assert stale.status_code == 409
    assert answer.headers["HX-Redirect"] == url("editor", journey)
    journey.refresh_from_db()
    assert journey.draft == journey.versions.get().document
    undo = url("undo", journey, journey.draft_revision)
    assert undo in member.get(url("editor", journey)).content.decode()
    member.post(undo, headers=HTMX)
    journey.refresh_from_db()
    assert journey.draft == changed
    assert member.post(url("version_restore", journey, 7), {"revision": "0"}).status_code == 404


def test_a_version_whose_webhook_may_not_be_used_does_not_come_back(
    member: Client, scene: Scene
) -> None:
    journey = scene.journey()
    publish(scene, journey)
    scene.rename_step(journey, "Greeting")
    MemberGrant.objects.filter(user=scene.member).delete()

    answer = member.post(
        url("version_restore", journey, 1), {"revision": journey.draft_revision}, headers=HTMX
    )

    assert answer.status_code == 403
    assert "The usage permission for this webhook is missing." in answer.content.decode()


@pytest.mark.parametrize(
    ("name", "verb", "arguments"),
    [
        ("publish", "get", ()),
        ("publish", "post", ()),
        ("pause", "post", ()),
        ("resume", "post", ()),
        ("stop", "get", ()),
        ("stop", "post", ()),
        ("versions", "get", ()),
        ("rename", "post", ()),
        ("duplicate", "post", ()),
        ("archive", "post", ()),
        ("run", "get", ("run",)),
        ("run_numbers", "get", ("run",)),
        ("person", "post", ("run",)),
    ],
)
def test_another_tenants_journey_is_as_if_there_were_none(
    client: Client, scene: Scene, name: str, verb: str, arguments: tuple[str, ...]
) -> None:
    run = publish(scene)
    away = make_workspace()
    client.force_login(make_administrator(away))
    address = reverse(
        f"journeys:{name}", args=[away.slug, run.journey_id, *[run.pk for _ in arguments]]
    )

    assert getattr(client, verb)(address).status_code == 404
    assert (
        getattr(client, verb)(url(name, run.journey, *[run.pk] * len(arguments))).status_code == 404
    )


def test_a_run_is_found_under_its_own_journey_alone(member: Client, scene: Scene) -> None:
    run, other = publish(scene), scene.journey()

    assert member.get(url("run", other, run.pk)).status_code == 404


def test_a_run_that_ended_abnormally_says_so_in_red_and_nobody_waits_in_it(
    member: Client, scene: Scene
) -> None:
    run = publish(scene)
    runner.sweep(now=timezone.now())
    run.refresh_from_db()
    going_on = member.get(url("run", run.journey, run.pk)).content.decode()
    ending.fail(run, reason="broken", now=timezone.now())

    shown = member.get(url("run", run.journey, run.pk)).content.decode()

    assert ">Waiting<" in going_on.replace("\n", "")
    assert "Waiting" not in shown.partition('class="figures"')[2].partition("</dl>")[0]
    assert "Being taken out" in shown
    (notice,) = re.findall('<div class="notice" role="alert">.*?</div>', shown, re.DOTALL)
    assert "One of its steps cannot be carried out" in notice


@pytest.mark.parametrize("state", [RunState.FINISHED, RunState.STOPPED])
def test_nobody_is_being_taken_out_of_a_run_that_has_nobody_left(
    member: Client, scene: Scene, state: RunState
) -> None:
    run = publish(scene)
    runner.sweep(now=timezone.now())
    if state == RunState.STOPPED:  # In a finished one they are sent to again.
        Chunk.objects.all().delete()
    Run.objects.filter(pk=run.pk).update(state=state, ended_at=timezone.now())

    shown = member.get(url("run", run.journey, run.pk)).content.decode()

    assert "Being taken out" not in shown
    assert ">Waiting<" in shown.replace("\n", "")
