"""Webhooks and the members around them, made for a test. Every default can be overridden."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from identity.models import IdType
from tests.identity.factories import make_id_type, make_plain_workspace
from webhooks import own_headers, registering
from webhooks.models import Choice, ChoiceList, Parameter, Webhook, WebhookUse
from workspaces import members, roles
from workspaces.choices import Preset
from workspaces.models import Membership, Role, User, Workspace

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
_numbers = count(1)


def make_workspace(**fields: Any) -> Workspace:
    """A workspace with the preset roles and the ID types MOBILE and EMAIL."""
    workspace = make_plain_workspace(**fields)
    roles.install_presets(workspace)
    make_id_type(workspace, "MOBILE", sensitive=True)
    make_id_type(workspace, "EMAIL", sensitive=True)
    return workspace


def make_member(
    workspace: Workspace, preset: Preset | None = Preset.MARKETER, **fields: Any
) -> User:
    """A user who works in the workspace, with one preset role or none."""
    number = next(_numbers)
    chosen = list(Role.objects.filter(workspace=workspace, preset=preset)) if preset else []
    # Another word than in tests.factories: whoever uses both makes two people.
    email = fields.pop("email", f"colleague{number}@example.com")
    name = fields.pop("name", f"Member {number}")
    added = members.add_member(
        workspace=workspace, email=email, name=name, roles=chosen, actor=None, now=NOW
    )
    user = added.membership.user
    for field, value in fields.items():
        setattr(user, field, value)
    user.save()
    return user


def make_administrator(workspace: Workspace, **fields: Any) -> User:
    return make_member(workspace, Preset.ADMINISTRATOR, **fields)


def membership_of(user: User, workspace: Workspace) -> Membership:
    return Membership.objects.get(user=user, workspace=workspace)


def role_of(workspace: Workspace, preset: Preset) -> Role:
    return Role.objects.get(workspace=workspace, preset=preset)


def make_webhook(
    workspace: Workspace,
    *,
    parameters: Sequence[Mapping[str, Any]] = (),
    id_types: Sequence[IdType] | None = None,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> Webhook:
    """A registered webhook with its first revision and its key; MOBILE unless said otherwise."""
    defaults = {"name": f"Webhook {next(_numbers)}", "url": "https://crm.example.com/marketing"}
    webhook = Webhook(workspace=workspace, **{**defaults, **fields})
    webhook.headers = own_headers.seal(webhook, headers or {})
    registering.prepare(webhook, actor=None)
    webhook.save()
    chosen = list(workspace.id_types.filter(code="MOBILE")) if id_types is None else id_types
    webhook.id_types.set(chosen)
    for order, parameter in enumerate(parameters):
        Parameter.objects.create(webhook=webhook, **{"order": order, **parameter})
    registering.settle(webhook=webhook, actor=None, now=NOW)
    return webhook


def make_choice_list(workspace: Workspace, *values: str, name: str = "Channels") -> ChoiceList:
    made = ChoiceList.objects.create(workspace=workspace, name=name)
    for order, value in enumerate(values):
        Choice.objects.create(choice_list=made, value=value, label=value.title(), order=order)
    return made


def make_use(webhook: Webhook, *, live: int | None = None, **fields: Any) -> WebhookUse:
    """That a journey uses the webhook: its draft, or a live version with revision ``live``."""
    number = next(_numbers)
    defaults = {
        "journey_id": number,
        "journey_name": f"Journey {number}",
        "url": f"/w/{webhook.workspace.slug}/journeys/{number}/",
        "is_live": live is not None,
        "live_revision": live,
    }
    return WebhookUse.objects.create(webhook=webhook, **{**defaults, **fields})


def random_token() -> str:
    return uuid.uuid4().hex
