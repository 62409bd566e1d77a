"""What operators look at: the screen of everything, the check-up, the metrics."""

import json
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F
from django.test import Client
from django.utils import timezone

from qa_webhook import condition, hints, metrics
from qa_webhook.tasks import tick
from tests.webhooks.factories import make_member
from tests.webhooks.scene import make_scene
from webhooks import claiming, control, keys, monitoring
from webhooks.choices import SecretKind
from webhooks.engine import Sender
from webhooks.models import Chunk, Delivery
from webhooks.receiver import Behaviour, Receiver, Reply
from workspaces import tenants
from workspaces.choices import Preset
from workspaces.heartbeats import Heart
from workspaces.models import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def call(*arguments: str, ends_with: int = 0, **options: Any) -> str:
    out = StringIO()
    code = 0
    try:
        call_command(*arguments, stdout=out, stderr=out, **options)
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == ends_with, out.getvalue()
    return out.getvalue()


# --- Who is alive ---------------------------------------------------------------------------------


def test_a_sender_says_that_it_is_alive_until_it_ends(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"))
    seen: list[int] = []
    sender = Sender()

    def is_wanted() -> bool:
        seen.append(Heartbeat.objects.count())
        return len(seen) < 3

    sender.is_wanted = is_wanted

    sender.run(seconds=5)

    assert scene.plan.pk
    assert seen[-1] == 1
    assert not Heartbeat.objects.exists()


def test_who_falls_silent_is_not_alive_and_is_forgotten_later() -> None:
    Heart("planner").beat()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workspaces_heartbeat SET seen_at = now() - interval '1 minute'")
    tick()
    found = condition.read()
    assert found.missing == ["sender", "planner"]
    assert found.tick_age is not None
    assert found.tick_age < 5

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE workspaces_heartbeat SET seen_at = now() - interval '1 hour'"
            " WHERE role = 'planner'"
        )
    Heart("sender").beat()
    assert not Heartbeat.objects.filter(role="planner").exists()


# --- One screen -----------------------------------------------------------------------------------


def test_status_shows_what_stands_still_and_who_waits(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    paused = make_scene(receiver.url("/in"), people=2)
    scene.submit()
    paused.submit()
    Chunk.objects.update(due_at=F("due_at") - timedelta(minutes=1))
    control.pause(webhook=paused.webhook, actor=None, now=timezone.now(), reason="certificate")
    tenants.stop_sending(
        workspace=paused.workspace, reason="wrong prices", actor=None, now=timezone.now()
    )
    for role in ("sender", "planner", "worker"):
        Heart(role).beat()

    shown = call("status")
    told = json.loads(call("status", "--json"))

    assert "5 people wait" in shown
    assert f"{paused.webhook} ({paused.workspace.slug}) is paused, certificate: 2 people" in shown
    assert "wrong prices" in shown
    assert told["people_waiting"] == 5
    due = {each["name"]: each["oldest_due_seconds"] for each in told["webhooks"]}
    assert 60 <= due[scene.webhook.name] < 90
    Heartbeat.objects.filter(role="sender").delete()
    assert "No sender is alive." in call("status", ends_with=1)


def test_requests_and_errors_are_told_by_class_with_an_example(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=4)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit()
    scene.drain(seconds=3, schedule=(timedelta(minutes=5),) * 3)

    (found,) = monitoring.conditions([scene.webhook.pk])
    assert sum(found.requests.values()) >= 4
    assert set(found.requests) == {"status_503"}
    (error,) = monitoring.errors(scene.webhook.pk)
    assert error.status_code == 503
    assert error.delivery_id in {each.pk for each in scene.deliveries()}

    slug = scene.workspace.slug
    shown = call("webhook", "status", scene.webhook.name, "--workspace", slug)
    assert "active since" in shown
    assert "4 people wait, 4 of them for another try" in shown
    assert "status_503: The other system is not available at the moment (503)." in shown
    (told,) = json.loads(call("webhook", "status", "--workspace", slug, "--json"))
    assert told["people_retrying"] == 4
    assert told["errors"][0]["status_code"] == 503


def test_of_a_busy_minute_the_latest_stand_for_all(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.behave("/in", Behaviour(status=400))
    scene.submit()
    scene.drain()
    Delivery.objects.all().delete()
    with connection.cursor() as cursor:  # Twenty a second, of which each tenth failed.
        cursor.execute(
            "INSERT INTO webhooks_delivery (id, day, workspace_id, webhook_id, plan_id, chunk_id,"
            " position, qaid, message_id, state, reason, status_code, first_attempt_at, updated_at)"
            " SELECT 'dlv_' || n, current_date, %s, %s, %s, 1, n, n, 'msg_' || n,"
            " CASE WHEN n %% 10 = 0 THEN 'dead' ELSE 'delivered' END,"
            " CASE WHEN n %% 10 = 0 THEN 'rejected' ELSE '' END,"
            " CASE WHEN n %% 10 = 0 THEN 400 ELSE 200 END, at, at FROM generate_series(1, 1000) n,"
            " LATERAL (SELECT clock_timestamp() - make_interval(secs => n / 20.0) AS at) AS times",
            [scene.workspace.pk, scene.webhook.pk, scene.plan.pk],
        )
    monkeypatch.setattr(monitoring, "LATEST_ROWS", 400)
    (found,) = monitoring.conditions([scene.webhook.pk])
    assert 900 < found.requests["accepted"] <= 1_080
    assert 90 < found.requests["status_400"] <= 120
    assert monitoring.dead_lately()[0][:2] == (scene.webhook.pk, "rejected")


def test_what_is_not_due_yet_is_passed_over_by_the_index() -> None:
    given: dict[str, Any] = {
        "probes": 1,
        "webhooks": None,
        "held": timezone.now(),
        "days": 1,
        "seconds": 1,
    }
    given |= {"rows": 1, "webhook": 1, "plans": 1, "hours": 1, "attempts": 1, "token": uuid4().hex}
    given |= {"limit": 1, "of_plans": None}
    for statement, condition_of_index in (
        (claiming._DUE_WEBHOOKS, "due_at <= statement_timestamp()"),
        (claiming._CLAIM_MESSAGES, "due_at <= statement_timestamp()"),
        (monitoring._CONDITIONS, "due_at <= statement_timestamp()"),
        (monitoring._TRIES, "updated_at > (statement_timestamp()"),
        (monitoring._ERRORS, "updated_at > (statement_timestamp()"),
    ):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {statement}", given)
            lines = [line for (line,) in cursor.fetchall()]
        used = [line for line in lines if "Index Cond" in line and condition_of_index in line]
        assert used, "\n".join(lines)


def test_an_answer_that_repeats_an_id_is_for_who_may_see_people_in_clear(
    receiver: Receiver,
) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.script("/in", Reply(400, body=b'{"unknown": "13800009999"}'))
    scene.submit()
    scene.drain()
    (delivery,) = scene.deliveries()
    developer = make_member(scene.workspace, Preset.DEVELOPER)
    status = ("webhook", "status", "--workspace", scene.workspace.slug)

    for command in (status, (*status, "--json"), ("deliveries", "show", delivery.pk)):
        assert "13800009999" in call(*command)
        shown = call(*command, "--as", developer.email)
        assert "400" in shown
        assert "13800009999" not in shown


# --- The check-up ---------------------------------------------------------------------------------


def levels(ends_with: int = 0) -> dict[str, str]:
    told = json.loads(call("doctor", "--json", ends_with=ends_with))
    return {each["check"]: each["level"] for each in told}


def test_the_check_up_of_a_sound_installation_finds_nothing(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), authentication="key")
    keys.make(webhook=scene.webhook, kind=SecretKind.SIGNING, actor=None, now=timezone.now())
    for role in ("sender", "planner", "worker"):
        Heart(role).beat()
    found = levels()
    # The disk is this machine's own affair, and so is what else is open on its database.
    wrong = {check for check, level in found.items() if level != "ok"}
    assert wrong <= {"disk", "transactions", "database"}
    assert len(found) == 14


def test_the_check_up_says_what_is_wrong_and_what_to_do(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(receiver.url("/in"))
    keys.make(webhook=scene.webhook, kind=SecretKind.SIGNING, actor=None, now=timezone.now())
    scene.submit()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE webhooks_chunk SET due_at = now() - interval '2 hours'")
    settings.FIELD_KEYS = [f"other:{b64encode(bytes(32)).decode()}"]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # It accepts and never answers.
        port = silent.getsockname()[1]
        monkeypatch.setattr(hints, "_broker", lambda: hints.connect(f"redis://127.0.0.1:{port}/0"))
        began = time.monotonic()
        assert hints.trouble()
        assert time.monotonic() - began < 4
        found = levels(ends_with=1)

    assert found["broker"] == "warn"
    assert found["keys"] == found["queue"] == found["processes"] == "fail"
    shown = call("doctor", ends_with=1)
    assert "Put the missing key back into FIELD_KEYS" in shown
    assert "no sender, no planner, no worker is alive" in shown


def test_the_check_up_refuses_a_lease_that_a_request_would_outlast(
    receiver: Receiver, settings: Any
) -> None:
    make_scene(receiver.url("/in")).change(timeout_seconds=30)
    settings.SENDER_OPTIONS = {"lease_seconds": 33.0}
    assert levels(ends_with=1)["leases"] == "ok"  # Nobody is alive here.

    settings.SENDER_OPTIONS = {"lease_seconds": 32.0}

    assert levels(ends_with=1)["leases"] == "fail"
    shown = call("doctor", ends_with=1)
    assert "a claim lasts 32 s, a webhook may take 30 s" in shown
    assert "Make lease_seconds in SENDER_OPTIONS more than 32" in shown


# --- Metrics and the deep health ------------------------------------------------------------------


def test_metrics_are_there_for_whoever_knows_the_token(
    receiver: Receiver, client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics._Kept, "until", 0.0)
    scene = make_scene(receiver.url("/in"), people=3)
    receiver.behave("/in", Behaviour(status=400))
    scene.submit()
    scene.drain()
    Heart("sender").beat()

    assert client.get("/metrics").status_code == 404
    settings.METRICS_TOKEN = "a token"
    assert client.get("/metrics").status_code == 401
    wrong = client.get("/metrics", headers={"Authorization": "Bearer another"})
    assert wrong.status_code == 401
    shown = client.get("/metrics", headers={"Authorization": "Bearer a token"}).content.decode()

    label = f'webhook="{scene.webhook.pk}",workspace="{scene.workspace.slug}"'
    assert 'qa_processes{role="sender"} 1.0' in shown
    assert f"qa_webhook_people_waiting{{{label}}} 0.0" in shown
    assert f'qa_webhook_state{{state="active",{label}}} 1.0' in shown
    assert f'qa_webhook_breaker{{state="closed",{label}}} 1.0' in shown
    assert f'qa_webhook_requests_last_minute{{class="status_400",{label}}} 3.0' in shown
    assert f'qa_webhook_dead_last_minute{{reason="rejected",{label}}} 3.0' in shown
    assert f'qa_webhook_due_to_sent_seconds{{quantile="0.5",{label}}}' in shown
    assert "qa_oldest_transaction_seconds" in shown
    assert "qa_hints_sent_total" in shown
    assert "qa_hints_lost_total" in shown


def test_the_deep_health_is_of_what_moves_people(receiver: Receiver, client: Client) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    tick()
    assert client.get("/health/deep").json()["scheduler"] == "ok"
    scene.submit()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE webhooks_chunk SET due_at = now() - interval '2 hours'")
    late = client.get("/health/deep")
    assert (late.status_code, late.json()["queue"]) == (503, "fail")
