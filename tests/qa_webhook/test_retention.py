"""What is too old goes, by whole days and months; a day with people who wait stays."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

import identity.partitions
from tests.webhooks.scene import make_scene
from webhooks import partitions
from webhooks.models import Chunk
from workspaces.choices import Via
from workspaces.models import AuditEntry, Notice

pytestmark = pytest.mark.django_db


def call(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("prune", "--json", *arguments, stdout=out)
    return {row["what"]: (row["number"], row["names"]) for row in json.loads(out.getvalue())}


def test_what_is_too_old_goes_and_a_dry_run_only_says_so() -> None:
    now = timezone.now()
    scene = make_scene("http://127.0.0.1:9/in", people=1)
    old, waiting = (partitions.day_of(now - timedelta(days=each)) for each in (100, 101))
    with connection.cursor() as cursor:
        for day in (old, waiting):
            cursor.execute("SELECT webhooks_partition_create(%s)", [day])
    month = now.year * 12 + now.month - 1
    identity.partitions.ensure_months([month - 3, month - 1, month], now=now)
    scene.submit()
    Chunk.objects.update(day=waiting)
    for days in (1, 200):
        notice = Notice.objects.create(workspace=scene.workspace, user=scene.member, kind="x")
        Notice.objects.filter(pk=notice.pk).update(created_at=now - timedelta(days=days))
    Session.objects.create(session_key="a", session_data="", expire_date=now - timedelta(days=1))
    arguments = ("--delivery-days", "90", "--event-months", "2")

    would = call(*arguments, "--dry-run")
    assert would["days of deliveries and attempts"] == (1, [str(old)])
    assert len(would["months of events"][1]) == 1
    assert (would["notices"][0], would["ended sessions"][0]) == (1, 1)
    assert partitions.exists(old)
    assert not AuditEntry.objects.filter(action__endswith=".pruned").exists()

    assert call(*arguments) == would
    entries = AuditEntry.objects.filter(action__endswith=".pruned", via=Via.COMMAND)
    assert {entry.action: entry.changes for entry in entries} == {
        "delivery.pruned": {"number": [1, 0], "names": [[str(old)], []]},
        "event.pruned": {"number": [1, 0], "names": [would["months of events"][1], []]},
    }
    assert not partitions.exists(old)
    assert partitions.exists(waiting)
    assert Notice.objects.count() == 1
    again = call(*arguments)
    assert {number for number, _names in again.values()} == {0}
    assert len(entries.all()) == 2
