"""A workspace with people, a webhook and a marketer who may use it: what journeys are drawn on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from identity import ingestion
from identity.choices import AttributeType, TagType
from identity.models import Audience, DataSource, EventType, IdType, Profile
from journeys import drafts
from journeys.components.audience import AudienceConfig
from journeys.components.event import EventConfig
from journeys.components.webhook import WebhookConfig
from journeys.definition import Document
from journeys.models import Journey
from tests.identity.factories import (
    make_audience,
    make_data_source,
    make_event_type,
    make_identifier,
    make_profile,
    make_tag,
)
from tests.webhooks.factories import make_member, make_webhook, make_workspace
from webhooks import partitions
from webhooks.models import MemberGrant, Webhook
from webhooks.rendering import EmptyRule, Source, Variable
from workspaces import roles
from workspaces.models import User, Workspace
from workspaces.points import Point

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
CONTENT = {"name": "content", "type": "text", "required": True}
NICKNAME = Variable("name", Source.TAG, "nickname", EmptyRule.DEFAULT, "Member")
SHOP = Variable("shop", Source.EVENT, "shop", EmptyRule.SKIP)


def grant(user: User, webhook: Webhook, **fields: Any) -> MemberGrant:
    """Give a member the usage permission of one webhook, past every check."""
    from django.contrib.auth.models import Permission

    permission = Permission.objects.get(content_type__app_label="webhooks", codename="use_webhook")
    made: MemberGrant = MemberGrant.objects.create(
        user=user, content_object=webhook, permission=permission, **fields
    )
    return made


def take_point(scene: "Scene") -> None:
    """Take the role's gate from the scene's member, and nothing else."""
    (role,) = scene.member.memberships.get().roles.all()
    left = roles.points_of(role) - {Point.REACH_MARKETING_WEBHOOK}
    roles.set_points(role=role, points=left, actor=None)


@dataclass
class Scene:
    """Everything a journey needs; ``member`` is a marketer who passes both gates of ``webhook``."""

    workspace: Workspace
    member: User
    webhook: Webhook
    mobile: IdType
    email: IdType
    source: DataSource
    audience: Audience
    people: list[Profile] = field(default_factory=list)

    def person(self, mobile: str = "", email: str = "", **tags: Any) -> Profile:
        profile = make_profile(self.workspace, tags=tags)
        if mobile:
            make_identifier(profile, self.mobile, mobile, source=self.source)
        if email:
            make_identifier(profile, self.email, email, source=self.source)
        return profile

    def config(self, **fields: Any) -> dict[str, Any]:
        """A complete webhook step: “Dear ${name} Hello” to MOBILE."""
        defaults: dict[str, Any] = {
            "webhook": self.webhook.pk,
            "values": {"content": "Dear ${name} Hello"},
            "variables": {"content": (NICKNAME,)},
            "id_type": self.mobile.pk,
        }
        return WebhookConfig(**{**defaults, **fields}).to_json()

    def start(self, **fields: Any) -> dict[str, Any]:
        return AudienceConfig(**{"audiences": (self.audience.pk,), **fields}).to_json()

    def journey(
        self,
        *,
        name: str = "Welcome",
        steps: Sequence[Mapping[str, Any]] | None = None,
        **start: Any,
    ) -> Journey:
        """A draft that can be published: the audience and one webhook step, unless told more."""
        made = drafts.create(workspace=self.workspace, user=self.member, name=name, now=NOW)
        self._save_start(made, self.start(**start))
        self._add_steps(made, steps)
        return made

    def event_journey(
        self,
        event_type: EventType,
        *,
        name: str = "Bought",
        steps: Sequence[Mapping[str, Any]] | None = None,
        **start: Any,
    ) -> Journey:
        made = drafts.create(
            workspace=self.workspace, user=self.member, name=name, start="event", now=NOW
        )
        self._save_start(made, EventConfig(**{"event_type": event_type.pk, **start}).to_json())
        self._add_steps(made, steps)
        return made

    def _save_start(self, journey: Journey, config: Mapping[str, Any]) -> None:
        start = Document.from_json(journey.draft).start
        assert start is not None
        drafts.save_step(
            journey=journey,
            revision=journey.draft_revision,
            user=self.member,
            key=start.key,
            name="",
            config=config,
            now=NOW,
        )

    def _add_steps(self, journey: Journey, steps: Sequence[Mapping[str, Any]] | None) -> None:
        last: UUID | None = None
        for number, config in enumerate([self.config()] if steps is None else steps, start=1):
            written = drafts.add_step(
                journey=journey,
                revision=journey.draft_revision,
                user=self.member,
                component="webhook",
                after=last,
                config=config,
                name=f"Step {number}",
                now=NOW,
            )
            assert written.step is not None
            last = written.step.key

    def rename_step(self, journey: Journey, name: str) -> None:
        """Change the draft's first step a little."""
        step = Document.from_json(journey.draft).steps[0]
        drafts.save_step(
            journey=journey,
            revision=journey.draft_revision,
            user=self.member,
            key=step.key,
            name=name,
            config=step.config,
            now=NOW,
        )

    def report(self, person: Profile, event_id: str, **attributes: Any) -> None:
        """Let an event of type *purchase* come in, as the API does."""
        value = person.identifiers.filter(id_type=self.mobile).values_list("value", flat=True)[0]
        (result,) = ingestion.receive(
            workspace=self.workspace,
            items=[
                {
                    "event_id": event_id,
                    "event_type": "purchase",
                    "occurred_at": timezone.now().isoformat(),
                    "MOBILE": value,
                    "attributes": attributes,
                }
            ],
            now=timezone.now(),
        )
        assert result.status == "accepted", result


def make_scene(
    *, workspace: Workspace | None = None, member: User | None = None, **webhook: Any
) -> Scene:
    """Three people in an audience: with a nickname, without one, and without a mobile number."""
    partitions.ensure_ahead(now=timezone.now())
    partitions.ensure_ahead(now=NOW)
    workspace = workspace or make_workspace()
    member = member or make_member(workspace)
    mobile = workspace.id_types.get(code="MOBILE")
    mobile.in_mapping = True
    mobile.save()
    source = make_data_source(workspace)
    made = make_webhook(
        workspace,
        parameters=[CONTENT],
        id_types=list(workspace.id_types.all()),
        **{"name": "CRM coupons", **webhook},
    )
    grant(member, made)
    make_tag(workspace, "nickname", name="Nickname")
    make_tag(workspace, "orders", TagType.NUMBER)
    scene = Scene(
        workspace=workspace,
        member=member,
        webhook=made,
        mobile=mobile,
        email=workspace.id_types.get(code="EMAIL"),
        source=source,
        audience=make_audience(workspace, name="Members"),
    )
    scene.people = [
        scene.person("13800000001", "san@example.com", nickname="Zhang San", orders=3),
        scene.person("13800000002"),
        scene.person("", "zhao@example.com", nickname="Zhao Yun"),
    ]
    scene.audience.members.model.objects.bulk_create(
        scene.audience.members.model(audience=scene.audience, profile=person)
        for person in scene.people
    )
    return scene


def make_purchase(scene: Scene) -> EventType:
    return make_event_type(
        scene.workspace,
        "purchase",
        attributes={"amount": AttributeType.NUMBER, "shop": AttributeType.TEXT},
    )
