"""Loading the demo's people: the same imports that the commands run, from the CDNOW files."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from identity.choices import AudienceKind
from identity.importing import reading, running
from identity.importing.audiences import AudienceImporter
from identity.importing.events import EventImporter
from identity.importing.identifiers import IdentifierImporter
from identity.importing.report import ImportReport
from identity.importing.running import Importer
from identity.importing.tags import TagImporter
from identity.models import Audience
from journeys.demo import cdnow, invented
from journeys.demo.cdnow import Purchase
from journeys.demo.tenant import CUSTOMER_ID, MEMBER_NO, Tenant

EVERYBODY: Final = "All customers"
BIG_SPENDERS: Final = "Spent 500 dollars or more"

# Told what is loaded.
Say = Callable[[str], None]


def load(tenant: Tenant, *, now: datetime, say: Say) -> None:
    """Load customers, members, tags, history and audiences, unless they are there."""
    if tenant.workspace.audiences.filter(name=EVERYBODY).exists():
        return
    for what, importer, columns, rows in _files(tenant, now):
        report = load_rows(importer, columns, rows)
        say(f"{what}: {report.accepted:,}")
    Audience.objects.create(
        workspace=tenant.workspace,
        name=BIG_SPENDERS,
        kind=AudienceKind.RULES,
        rules={
            "match": "all",
            "conditions": [{"tag": "spent", "operator": "at_least", "value": 500}],
        },
        updated_at=now,
        created_by=tenant.marketer,
    )
    everybody = Audience.objects.create(
        workspace=tenant.workspace, name=EVERYBODY, updated_at=now, created_by=tenant.marketer
    )
    importer = AudienceImporter(
        audience=everybody, source=tenant.shop, now=now, replace=True, create_people=False
    )
    report = load_rows(
        importer, [CUSTOMER_ID], ([each.customer_id] for each in cdnow.customers(now))
    )
    say(f"Audience “{EVERYBODY}”: {report.accepted:,} people")


def attributes_of(purchase: Purchase) -> dict[str, Any]:
    """Return what a purchase event reports; the nickname is invented, the rest is real."""
    reported: dict[str, Any] = {"dollars": float(purchase.dollars), "cds": purchase.cds}
    if nickname := invented.nickname(purchase.customer_id):
        reported["nickname"] = nickname
    return reported


def live_events(now: datetime) -> list[dict[str, Any]]:
    """Return the last days' purchases as the shop reports them to the events API."""
    return [
        {
            "event_id": purchase.event_id,
            "event_type": "purchase",
            "ids": {CUSTOMER_ID: purchase.customer_id},
            "occurred_at": purchase.at.isoformat(),
            "attributes": attributes_of(purchase),
        }
        for purchase in cdnow.purchases(now)
        if cdnow.is_live(purchase, now)
    ]


def _files(
    tenant: Tenant, now: datetime
) -> Iterator[tuple[str, Importer, Sequence[str], Iterator[Sequence[Any]]]]:
    workspace, customers = tenant.workspace, cdnow.customers(now)
    yield (
        "Customers of the shop (mobile numbers and e-mail addresses are invented)",
        IdentifierImporter(workspace=workspace, source=tenant.shop, now=now),
        [CUSTOMER_ID, "MOBILE", "EMAIL"],
        (
            [each.customer_id, invented.mobile(each.customer_id), invented.email(each.customer_id)]
            for each in customers
        ),
    )
    yield (
        "Members of the club, who are customers of the shop under another number",
        IdentifierImporter(workspace=workspace, source=tenant.club, now=now),
        [MEMBER_NO, CUSTOMER_ID],
        ([member_no, customer_id] for customer_id, member_no in cdnow.members()),
    )
    yield (
        "Customers with tags (nicknames are invented, the rest follows from the purchases)",
        TagImporter(workspace=workspace, source=tenant.shop, now=now),
        [CUSTOMER_ID, "nickname", "orders", "cds", "spent", "first_purchase", "last_purchase"],
        (
            [
                each.customer_id,
                invented.nickname(each.customer_id) or "",
                str(each.orders),
                str(each.cds),
                str(each.spent),
                each.first.isoformat(),
                each.last.isoformat(),
            ]
            for each in customers
        ),
    )
    yield (
        "Purchases as history",
        EventImporter(workspace=workspace, source=tenant.shop, now=now),
        [CUSTOMER_ID, "event_id", "event_type", "occurred_at", "dollars", "cds", "nickname"],
        _history(now),
    )


def _history(now: datetime) -> Iterator[Sequence[Any]]:
    for purchase in cdnow.purchases(now):
        if not cdnow.is_live(purchase, now):
            reported = attributes_of(purchase)
            yield [
                purchase.customer_id,
                purchase.event_id,
                "purchase",
                purchase.at.isoformat(),
                str(purchase.dollars),
                str(purchase.cds),
                reported.get("nickname", ""),
            ]


def load_rows(
    importer: Importer, columns: Sequence[str], rows: Iterator[Sequence[Any]]
) -> ImportReport:
    """Import rows as if they stood in a file; None is an empty cell."""
    return running.run(importer, reading.from_rows(columns, _as_text(rows)))


def _as_text(rows: Iterator[Sequence[Any]]) -> Iterator[Sequence[str]]:
    """A file has no null: what is missing is an empty cell."""
    return ([cell or "" for cell in row] for row in rows)
