"""Several processes at once: events, imports and merges of the same people."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from random import Random
from typing import Any

import pytest
from django.db import connection, transaction

from identity import importing, ingestion, partitions
from identity.models import Event, Identifier, IncomingEvent, MappingKey, Profile
from tests.identity.factories import (
    NOW,
    make_data_source,
    make_event_type,
    make_id_type,
    make_plain_workspace,
)
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 4


def make_home() -> Workspace:
    workspace = make_plain_workspace()
    make_id_type(workspace, "ONEID", multi_value=False, in_mapping=True)
    make_id_type(workspace, "MOBILE", in_mapping=True)
    make_event_type(workspace)
    return workspace


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run jobs in threads with connections of their own."""

    def job_and_goodbye(job: Callable[[], Any]) -> Any:
        try:
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=len(jobs)) as threads:
        return [done.result() for done in [threads.submit(job_and_goodbye, job) for job in jobs]]


def test_events_and_imports_of_the_same_people_end_in_one_picture() -> None:
    workspace = make_home()
    crm = make_data_source(workspace, "crm")
    # Made here, so that no two workers make it.
    make_data_source(workspace, "api")

    def report(worker: int) -> None:
        random = Random(worker)
        for call in range(12):
            items = [
                {
                    "event_id": f"{worker}-{call}-{place}",
                    "event_type": "purchase",
                    "ids": {
                        "ONEID": f"A{random.randrange(6)}",
                        "MOBILE": f"1380000000{random.randrange(6)}",
                    },
                    "attributes": {"amount": 1},
                }
                for place in range(3)
            ]
            answers = ingestion.receive(workspace=workspace, items=items, now=NOW)
            assert {answer.status for answer in answers} == {"accepted"}

    def load() -> None:
        rows = [[f"A{number % 6}", f"1380000000{number % 9}"] for number in range(40)]
        table = importing.from_rows(["ONEID", "MOBILE"], rows)
        importing.import_identifiers(workspace=workspace, source=crm, table=table, now=NOW)

    at_once(*[lambda worker=worker: report(worker) for worker in range(WORKERS - 1)], load)

    assert Event.objects.count() == IncomingEvent.objects.count() == (WORKERS - 1) * 36
    owners = dict(MappingKey.objects.values_list("value", "profile_id"))
    assert set(Identifier.objects.values_list("value", "profile_id")) == set(owners.items())
    redirects = Profile.objects.filter(merged_into__isnull=False)
    assert not set(owners.values()) & set(redirects.values_list("qaid", flat=True))
    members = MappingKey.objects.filter(id_type__code="ONEID").values_list("profile_id", flat=True)
    assert len(members) == len(set(members)) == 6


def test_two_takers_never_get_the_same_event_and_a_rollback_gives_it_back() -> None:
    workspace = make_home()
    items = [
        {"event_id": f"e{number}", "event_type": "purchase", "ids": {"ONEID": "A1"}}
        for number in range(60)
    ]
    ingestion.receive(workspace=workspace, items=items, now=NOW)
    with transaction.atomic(), connection.cursor() as cursor:
        assert len(ingestion.take(cursor, limit=60, now=NOW)) == 60
        transaction.set_rollback(True)

    def take_all() -> list[str]:
        taken: list[str] = []
        while True:
            with transaction.atomic(), connection.cursor() as cursor:
                some = ingestion.take(cursor, limit=7, now=NOW)
            if not some:
                return taken
            taken += [event.event_id for event in some]

    found = at_once(take_all, take_all, take_all)

    assert sorted(chain(*found)) == sorted(f"e{number}" for number in range(60))


def test_two_who_need_the_same_new_month_at_once_make_its_partition_once() -> None:
    waits = threading.Event()

    def make() -> int:
        waits.set()
        return partitions.ensure_months([(NOW.year - 3) * 12], now=NOW)

    with ThreadPoolExecutor(max_workers=1) as threads:
        with transaction.atomic():
            assert make() == 1
            waits.clear()
            second = threads.submit(at_once, make)
            waits.wait(5)
            time.sleep(0.3)  # Until it stands at the lock.
            assert not second.done()
        assert second.result(10) == [0]
