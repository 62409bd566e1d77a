import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from journeys.choices import RunState
from journeys.models import Journey, Run
from tests.journeys.factories import NOW, Scene, make_scene
from tests.journeys.test_runner import make_crowd, publish, sweep
from tests.webhooks.factories import make_administrator, make_member
from workspaces.choices import Preset
from workspaces.models import AuditEntry, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def call(*arguments: Any, **options: Any) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output, **options)
    return output.getvalue()


def state_of(journey: Journey) -> str:
    return Journey.objects.get(pk=journey.pk).state


def test_journeys_are_listed_and_shown(scene: Scene) -> None:
    journey = scene.journey()
    publish(scene, journey)
    sweep()

    assert "Welcome" in call("journeys", "list", "--workspace", scene.workspace.slug)
    assert call("journeys", "list", "--state", "stopped") == "No journey matches.\n"
    shown = json.loads(call("journeys", "show", journey.pk, "--json"))
    assert (shown["state"], shown["runs"][0]["waiting"]) == ("running", 3)
    assert "In progress" in call("journeys", "show", journey.pk)


def test_a_member_pauses_resumes_and_stops_by_command(scene: Scene) -> None:
    journey = scene.journey()
    publish(scene, journey)
    sweep()
    who = ("--as", scene.member.email)

    call("journeys", "pause", journey.pk, *who)
    assert state_of(journey) == "paused"
    call("journeys", *who, "resume", journey.pk)
    assert state_of(journey) == "running"
    assert "3 people go on" in call("journeys", "stop", journey.pk, "--finish", *who)
    assert state_of(journey) == "stopped"
    entry = AuditEntry.objects.get(action="journey.stopped")
    assert (entry.actor_id, entry.via) == (scene.member.pk, "command")


def test_the_operator_needs_no_name(scene: Scene) -> None:
    journey = scene.journey()
    publish(scene, journey)
    sweep()

    call("journeys", "stop", journey.pk, "--take-out")

    assert state_of(journey) == "stopped"


def test_a_member_without_the_right_is_refused(scene: Scene) -> None:
    journey = scene.journey()
    publish(scene, journey)
    analyst = make_member(scene.workspace, Preset.ANALYST)

    with pytest.raises(CommandError, match="may not do this"):
        call("journeys", "pause", journey.pk, "--as", analyst.email)
    assert state_of(journey) == "running"


def test_another_tenants_journey_does_not_exist(scene: Scene) -> None:
    journey = scene.journey()
    stranger = make_scene().member

    with pytest.raises(CommandError, match="There is no journey"):
        call("journeys", "pause", journey.pk, "--as", stranger.email)
    assert "Welcome" not in call("journeys", "list", "--as", stranger.email)


def test_above_a_thousand_people_a_script_has_to_say_yes(scene: Scene) -> None:
    make_crowd(scene, 1_000)
    journey = scene.journey()
    publish(scene, journey)
    sweep()

    with pytest.raises(CommandError, match="affects 1,003 people"):
        call("journeys", "stop", journey.pk, "--take-out")
    assert state_of(journey) == "running"

    call("journeys", "stop", journey.pk, "--take-out", "--yes")
    assert state_of(journey) == "stopped"


def test_runs_are_listed_and_watched_to_their_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    journey = scene.journey()
    run = publish(scene, journey)
    sweep()
    rows = json.loads(call("runs", "list", "--open", "--json"))
    assert [(row["run"], row["people"]) for row in rows] == [(run.pk, 3)]
    Run.objects.filter(pk=run.pk).update(state="finished", ended_at=NOW)

    assert "Finished: 3 people" in call("runs", "watch", run.pk)
    assert json.loads(call("runs", "watch", run.pk, "--json"))["state"] == "finished"

    screen = StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr("time.sleep", lambda seconds: stop(run))
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING)
    with pytest.raises(SystemExit) as ended:
        call_command("runs", "watch", run.pk, stdout=screen)
    assert ended.value.code == 1
    assert "\x1b[" in screen.getvalue()
    assert screen.getvalue().count("CRM coupons") == 2


def stop(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(state=RunState.STOPPED)
    assert call("runs", "list", "--open") == "No run matches.\n"


def test_explain_prints_the_verdict_first(scene: Scene) -> None:
    journey = scene.journey()
    publish(scene, journey, timezone.now())
    sweep(timezone.now())

    first, *rest = call("explain", journey.pk, "138 0000 0001").splitlines()
    assert first == "Waiting: it will be sent soon."
    assert any("Mobile known now: 13800000001 (crm)." in line for line in rest)
    told = json.loads(call("explain", journey.pk, "13800000001", "--json"))
    assert told["verdict"] == first


def test_explain_masks_for_members_who_may_not_see_people(scene: Scene) -> None:
    journey = scene.journey()
    publish(scene, journey, timezone.now())
    sweep(timezone.now())

    told = call("explain", journey.pk, "13800000001", "--as", scene.member.email)

    assert "138****0001" in told
    assert "13800000001" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("99999999999",), "Nobody in"),
        (("x", "--id-type", "NOPE"), "There is no ID type NOPE"),
    ],
)
def test_explain_says_whom_it_did_not_find(
    scene: Scene, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        call("explain", scene.journey().pk, *arguments)


def test_sending_is_stopped_and_goes_on_again(scene: Scene) -> None:
    administrator = make_administrator(scene.workspace)
    who = ("--as", administrator.email, "--workspace", scene.workspace.slug)

    call("stop_sending", "--reason", "wrong prices", *who)
    stopped = Workspace.objects.get(pk=scene.workspace.pk)
    assert (stopped.sending_is_stopped, stopped.sending_stopped_reason) == (True, "wrong prices")

    call("resume_sending", *who)
    assert not Workspace.objects.get(pk=scene.workspace.pk).sending_is_stopped
    assert call("resume_sending", *who) == "Sending is stopped nowhere.\n"


def test_a_marketer_does_not_stop_all_sending(scene: Scene) -> None:
    with pytest.raises(CommandError, match="may not do this"):
        call("stop_sending", "--reason", "x", "--as", scene.member.email)


def test_the_planner_does_what_is_due_once(scene: Scene) -> None:
    run = publish(scene, scene.journey(), timezone.now())

    told = call("planner", "--once")

    assert "1 started, 3 planned" in told
    run.refresh_from_db()
    assert run.people == 3
