"""What stands between a new workspace and its first message, read from the real state."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db.models import (
    BooleanField,
    Exists,
    ExpressionWrapper,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
)
from django.db.models.expressions import Combinable
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from identity.models import DataSource, Profile
from journeys.models import JourneyVersion
from webhooks.models import Chunk, GroupGrant, MemberGrant, TestSend, UsageGrant, Webhook
from workspaces.models import Workspace
from workspaces.points import Point


class Step(NamedTuple):
    """One thing to do: who does it, and for a visitor who may, where."""

    key: str
    title: str | Promise
    who: str | Promise
    act: str | Promise
    url: str
    is_done: bool


class Checklist(NamedTuple):
    items: list[Step]

    @property
    def total(self) -> int:
        return len(self.items)

    @property
    def done(self) -> int:
        return sum(step.is_done for step in self.items)

    @property
    def has_published(self) -> bool:
        return self.items[-1].is_done

    @property
    def is_done(self) -> bool:
        return self.done == self.total


class _Template(NamedTuple):
    key: str
    title: Promise
    who: Promise
    act: Promise
    url_name: str
    # Who holds one of these gets the link.
    points: frozenset[Point]
    # The page is one webhook's, at this place of it; there is no link before there is one.
    at: str | None = None


_DATA: Final = frozenset({Point.MANAGE_DATA})
_WEBHOOKS: Final = frozenset({Point.WEBHOOK_MANAGEMENT})
_ADMINISTRATOR: Final = _("An administrator does this.")

_STEPS: Final = (
    _Template(
        "data_source",
        _("Name the first data source"),
        _ADMINISTRATOR,
        _("Add a data source"),
        "admin:identity_datasource_add",
        _DATA,
    ),
    _Template(
        "people",
        _("Bring in people"),
        _("An administrator uploads a list, or whoever runs the server imports a file."),
        _("Add an audience"),
        "journeys:audiences",
        _DATA,
    ),
    _Template(
        "webhook",
        _("Register a webhook"),
        _ADMINISTRATOR,
        _("Add a webhook"),
        "admin:webhooks_webhook_add",
        _WEBHOOKS,
    ),
    _Template(
        "receiver",
        _("Get the receiving system to answer"),
        _("Its developers do this; the webhook’s integration guide tells them how."),
        _("Integration guide"),
        "admin:webhooks_webhook_guide",
        _WEBHOOKS,
        "",
    ),
    _Template(
        "test",
        _("Send a test that is accepted"),
        _("Whoever manages webhooks does this, with an ID of their own."),
        _("Test send"),
        "admin:webhooks_webhook_change",
        _WEBHOOKS,
        "?test=1",
    ),
    _Template(
        "permission",
        _("Give a marketer the usage permission"),
        _("An administrator does this, on the webhook’s page."),
        _("Give permission"),
        "admin:webhooks_webhook_change",
        _WEBHOOKS,
        "#who",
    ),
    _Template(
        "journey",
        _("Publish the first journey"),
        _("A marketer does this."),
        _("To the journeys"),
        "journeys:list",
        frozenset({Point.AUTOMATED_MARKETING, Point.PUBLISH_JOURNEYS}),
    ),
)


def of(*, workspace: Workspace, points: Collection[Point], now: datetime) -> Checklist:
    """Return the checklist of a workspace, as somebody with these points sees it; one query.

    Args:
        points: what the visitor holds there; a step that is not theirs has no link.
    """
    state = _state(workspace, now)
    webhook_id = state["webhook"]
    return Checklist(
        [
            Step(
                key=step.key,
                title=step.title,
                who=step.who,
                act=step.act,
                url=_address(step, workspace, webhook_id) if step.points & set(points) else "",
                is_done=bool(state[step.key]),
            )
            for step in _STEPS
        ]
    )


def _state(workspace: Workspace, now: datetime) -> dict[str, Any]:
    """Ask for one row of each thing: what it costs does not grow with what there is."""
    here = OuterRef("pk")
    live = UsageGrant.live(now)
    tests = TestSend.objects.filter(webhook__workspace=here)
    marks: dict[str, Combinable] = {
        "data_source": Exists(DataSource.objects.filter(workspace=here)),
        "people": Exists(Profile.objects.filter(workspace=here, erased_at=None)),
        "webhook": Subquery(Webhook.objects.filter(workspace=here).order_by("pk").values("pk")[:1]),
        "receiver": _any(
            tests.filter(status_code__isnull=False),
            Chunk.objects.filter(plan__workspace=here, delivered__gt=0),
        ),
        "test": Exists(tests.filter(accepted=True)),
        "permission": _any(
            MemberGrant.objects.filter(live, content_object__workspace=here),
            GroupGrant.objects.filter(live, content_object__workspace=here),
        ),
        "journey": Exists(JourneyVersion.objects.filter(journey__workspace=here)),
    }
    found = Workspace.objects.filter(pk=workspace.pk).values_list(*marks.values())
    return dict(zip(marks, found.get(), strict=True))


def _any(one: QuerySet[Any], other: QuerySet[Any]) -> Combinable:
    return ExpressionWrapper(Q(Exists(one)) | Q(Exists(other)), output_field=BooleanField())


def _address(step: _Template, workspace: Workspace, webhook_id: int | None) -> str:
    if step.at is not None:
        return reverse(step.url_name, args=[webhook_id]) + step.at if webhook_id else ""
    in_setup = step.url_name.startswith("admin:")
    return reverse(step.url_name, args=[] if in_setup else [workspace.slug])
