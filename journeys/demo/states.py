"""What the main job leaves out: a journey in each state in which one can be found."""

from datetime import datetime, time, timedelta
from typing import Final

from identity import ingestion
from identity.choices import AudienceKind, TagType
from identity.importing.tags import TagImporter
from identity.models import Audience, Tag
from journeys.components.audience import AudienceConfig, When
from journeys.components.webhook import WebhookConfig
from journeys.demo import cdnow, drawing, invented, people, targets
from journeys.demo.drawing import Start
from journeys.demo.tenant import CUSTOMER_ID, Tenant
from webhooks.models import Webhook
from webhooks.rendering import EmptyRule, Source, Variable

FINISHED: Final = "Birthday greeting"
SCHEDULED: Final = "Thanks to those who spent most"
DRAFT: Final = "Invitation to the concert"
BIRTHDAYS: Final = "Club members with a birthday soon"
_SCHEDULED_IN_DAYS: Final = 30


def make(tenant: Tenant, webhooks: dict[str, Webhook], *, now: datetime) -> None:
    """Make what is not there yet."""
    for name, draw in ((FINISHED, _birthdays), (SCHEDULED, _scheduled), (DRAFT, _draft)):
        if not drawing.exists(tenant, name):
            draw(tenant, webhooks, now)


def listen(tenant: Tenant, webhooks: dict[str, Webhook], *, now: datetime) -> None:
    """Publish the journey that listens, and report the last days' purchases to it."""
    drawing.calls(tenant, webhooks, now=now)
    items = people.live_events(now)
    for start in range(0, len(items), ingestion.MAX_ITEMS):
        ingestion.receive(
            workspace=tenant.workspace, items=items[start : start + ingestion.MAX_ITEMS], now=now
        )


def _birthdays(tenant: Tenant, webhooks: dict[str, Webhook], now: datetime) -> None:
    """Publish a run that passes some people over, for three reasons, and fails for a few.

    Some have no mobile number, some no e-mail address, some no nickname; the receiver refuses
    one in twenty.
    """
    name = Variable(name="name", source=Source.TAG, code="nickname", empty=EmptyRule.SKIP)
    genre = Variable(
        name="genre", source=Source.TAG, code="genre", empty=EmptyRule.DEFAULT, default="your"
    )
    text = "Happy birthday, ${name}! Choose one of ${genre} favourites, it is on us."
    step = WebhookConfig(
        webhook=webhooks[targets.CARDS].pk,
        values={"parameter 1 character": text},
        variables={"parameter 1 character": (name, genre)},
        id_type=drawing.id_type(tenant, "MOBILE").pk,
        reach_id_type=drawing.id_type(tenant, "EMAIL").pk,
    )
    audience = _birthday_audience(tenant, now)
    journey = drawing.draw(
        tenant,
        FINISHED,
        start=Start("audience", BIRTHDAYS, AudienceConfig((audience.pk,)).to_json()),
        step=("Send the card", step),
        now=now,
    )
    drawing.publish(tenant, journey, now=now)


def _birthday_audience(tenant: Tenant, now: datetime) -> Audience:
    """Tag the club's members, and choose those of this month and the next."""
    workspace = tenant.workspace
    for code, label, kind in (
        ("birthday_month", "Month of birth", TagType.NUMBER),
        ("genre", "Favourite genre", TagType.TEXT),
    ):
        Tag.objects.get_or_create(
            workspace=workspace,
            code=code,
            defaults={"name": label, "type": kind, "data_source": tenant.club},
        )
    people.load_rows(
        TagImporter(workspace=workspace, source=tenant.club, now=now),
        [CUSTOMER_ID, "birthday_month", "genre"],
        (
            [customer, str(invented.birthday_month(customer)), invented.genre(customer)]
            for customer, _member_no in cdnow.members()
        ),
    )
    months = [now.month, now.month % 12 + 1]
    audience, _made = Audience.objects.get_or_create(
        workspace=workspace,
        name=BIRTHDAYS,
        defaults={
            "kind": AudienceKind.RULES,
            "rules": {
                "match": "any",
                "conditions": [
                    {"tag": "birthday_month", "operator": "equals", "value": month}
                    for month in months
                ],
            },
            "updated_at": now,
            "created_by": tenant.marketer,
        },
    )
    return audience


def _scheduled(tenant: Tenant, webhooks: dict[str, Webhook], now: datetime) -> None:
    """Publish a journey that starts at ten o'clock, in a month."""
    zone = tenant.workspace.zone
    day = now.astimezone(zone).date() + timedelta(days=_SCHEDULED_IN_DAYS)
    at = datetime.combine(day, time(10), tzinfo=zone)
    audience = tenant.workspace.audiences.get(name=people.BIG_SPENDERS)
    config = AudienceConfig((audience.pk,), when=When.AT, at=at)
    name = Variable(
        name="name", source=Source.TAG, code="nickname", empty=EmptyRule.DEFAULT, default="Member"
    )
    step = WebhookConfig(
        webhook=webhooks[targets.COUPONS].pk,
        values={
            "parameter 1 character": "Dear ${name}, thank you for a year full of music.",
            "amount": "50",
            "valid until": (day + timedelta(days=30)).isoformat(),
        },
        variables={"parameter 1 character": (name,)},
        id_type=drawing.id_type(tenant, CUSTOMER_ID).pk,
    )
    journey = drawing.draw(
        tenant,
        SCHEDULED,
        start=Start("audience", people.BIG_SPENDERS, config.to_json()),
        step=("Send the coupon", step),
        now=now,
    )
    drawing.publish(tenant, journey, now=now)


def _draft(tenant: Tenant, webhooks: dict[str, Webhook], now: datetime) -> None:
    """Leave two things for whoever tries it: the audience, and the text."""
    step = WebhookConfig(
        webhook=webhooks[targets.CARDS].pk, id_type=drawing.id_type(tenant, "EMAIL").pk
    )
    drawing.draw(
        tenant,
        DRAFT,
        start=Start("audience", "Who is invited", AudienceConfig().to_json()),
        step=("Invite", step),
        now=now,
    )
