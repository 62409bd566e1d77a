"""People and what is known of them, made for a test. Every default can be overridden."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

from identity.choices import AttributeType, AudienceKind, IdKind, TagType
from identity.models import (
    Audience,
    AudienceMember,
    DataSource,
    Event,
    EventAttribute,
    EventType,
    Identifier,
    IdType,
    MappingKey,
    Profile,
    Tag,
)
from workspaces.models import Organization, Workspace

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
_numbers = count(1)


def make_plain_workspace(**fields: Any) -> Workspace:
    """A workspace without roles or members: all that identity needs."""
    number = next(_numbers)
    if "organization" not in fields:
        fields["organization"] = Organization.objects.create(
            name=f"Organization {number}", slug=f"identity-organization-{number}"
        )
    return Workspace.objects.create(
        **{"name": f"Workspace {number}", "slug": f"identity-workspace-{number}", **fields}
    )


def make_id_type(workspace: Workspace, code: str = "MOBILE", **fields: Any) -> IdType:
    kinds = {"MOBILE": IdKind.MOBILE, "EMAIL": IdKind.EMAIL}
    defaults = {
        "name": code.title(),
        "kind": kinds.get(code, IdKind.TEXT),
        "priority": workspace.id_types.count() + 1,
        "in_mapping": False,
    }
    return IdType.objects.create(workspace=workspace, code=code, **{**defaults, **fields})


def make_data_source(workspace: Workspace, code: str = "crm", **fields: Any) -> DataSource:
    return DataSource.objects.create(workspace=workspace, code=code, **{"name": code, **fields})


def make_profile(workspace: Workspace, **fields: Any) -> Profile:
    """A person; ``tags`` get the profile's creation time."""
    fields.setdefault("created_at", NOW)
    if "tags" in fields:
        time = fields["created_at"].timestamp()
        fields.setdefault("tag_times", dict.fromkeys(fields["tags"], time))
    return Profile.objects.create(workspace=workspace, **fields)


def make_identifier(
    profile: Profile, id_type: IdType, value: str, *, source: DataSource, **fields: Any
) -> Identifier:
    fields.setdefault("last_seen", NOW)
    fields.setdefault("first_seen", fields["last_seen"])
    if id_type.in_mapping:
        MappingKey.objects.get_or_create(
            id_type=id_type, value=value, defaults={"profile": profile}
        )
    return Identifier.objects.create(
        profile=profile, id_type=id_type, value=value, data_source=source, **fields
    )


def make_tag(workspace: Workspace, code: str, type: str = TagType.TEXT, **fields: Any) -> Tag:  # noqa: A002 - the field's name
    if "data_source" not in fields:
        fields["data_source"] = workspace.data_sources.first() or make_data_source(workspace)
    return Tag.objects.create(workspace=workspace, code=code, type=type, **{"name": code, **fields})


def make_audience(
    workspace: Workspace, *, people: list[Profile] | None = None, **fields: Any
) -> Audience:
    """An uploaded list of ``people``, or one of rules when ``rules`` are given."""
    if "rules" in fields:
        fields.setdefault("kind", AudienceKind.RULES)
    defaults = {"name": f"Audience {next(_numbers)}", "updated_at": NOW}
    audience = Audience.objects.create(workspace=workspace, **{**defaults, **fields})
    AudienceMember.objects.bulk_create(
        AudienceMember(audience=audience, profile=profile) for profile in people or []
    )
    return audience


def make_event_type(
    workspace: Workspace,
    code: str = "purchase",
    *,
    attributes: Mapping[str, str] | None = None,
    required: tuple[str, ...] = (),
    **fields: Any,
) -> EventType:
    """An event type with ``attributes``, their types by their codes."""
    event_type = EventType.objects.create(
        workspace=workspace, code=code, **{"name": code.title(), **fields}
    )
    for attribute, kind in (attributes or {"amount": AttributeType.NUMBER}).items():
        EventAttribute.objects.create(
            event_type=event_type,
            code=attribute,
            name=attribute,
            type=kind,
            required=attribute in required,
        )
    return event_type


def make_event(profile: Profile, event_type: EventType, **fields: Any) -> Event:
    defaults = {
        "event_id": f"event-{next(_numbers)}",
        "occurred_at": NOW,
        "received_at": NOW,
        "attributes": {},
    }
    return Event.objects.create(
        workspace_id=profile.workspace_id,
        profile=profile,
        event_type=event_type,
        **{**defaults, **fields},
    )
