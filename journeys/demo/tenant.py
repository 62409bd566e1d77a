"""The demo's organization: who may log in, and what is known of people before any file arrives."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from identity.choices import AttributeType, IdKind, TagType
from identity.models import DataSource, EventAttribute, EventType, IdType, Tag
from qa_webhook import local
from workspaces import demo_logins, members, tenants
from workspaces.choices import Preset
from workspaces.models import Organization, User, Workspace

ORGANIZATION: Final = "cdnow"
SLUG: Final = "music-shop"
# In the README: for a console that only this machine reaches.
PUBLIC_PASSWORD: Final = "music shop demo"  # noqa: S105 - no secret
CUSTOMER_ID, MEMBER_NO = "CUSTOMER_ID", "MEMBER_NO"

_TAGS: Final = (
    ("nickname", "Nickname", TagType.TEXT),
    ("orders", "Number of orders", TagType.NUMBER),
    ("cds", "CDs bought", TagType.NUMBER),
    ("spent", "Total spent", TagType.NUMBER),
    ("first_purchase", "First purchase", TagType.DATE),
    ("last_purchase", "Last purchase", TagType.DATE),
)
_ATTRIBUTES: Final = (
    ("dollars", "Amount", AttributeType.NUMBER, True),
    ("cds", "Number of CDs", AttributeType.NUMBER, True),
    ("nickname", "Nickname", AttributeType.TEXT, False),
)


@dataclass(frozen=True, slots=True)
class Tenant:
    workspace: Workspace
    administrator: User
    marketer: User
    operator: User
    shop: DataSource
    club: DataSource

    @property
    def logins(self) -> list[tuple[str, User]]:
        return [
            ("administrator", self.administrator),
            ("marketer", self.marketer),
            ("operator", self.operator),
        ]


class NotAloneError(Exception):
    """Others work in this installation; log-ins for everybody to try stay out of it."""


def password(*, own: bool) -> str:
    """Return the README's password where only this machine reaches the console, else an own one."""
    host = urlsplit(settings.SITE_URL).hostname or ""
    if settings.EMBEDDED and local.is_loopback(host) and not own:
        return PUBLIC_PASSWORD
    return _own_password(local.DIRECTORY / "demo-password")


def _own_password(path: Path) -> str:
    """Make a password once and keep it for its owner's eyes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text()
    made = secrets.token_urlsafe(12)
    with os.fdopen(descriptor, "w") as file:
        file.write(made)
    return made


@transaction.atomic
def make(*, password: str | None) -> Tenant:
    """Return the demo's tenant, made if it is not there.

    Args:
        password: of all three log-ins from now on; None lets nobody log in.

    Raises:
        NotAloneError: there is another organization.
    """
    if Organization.objects.exclude(slug=ORGANIZATION).exists():
        raise NotAloneError
    workspace = Workspace.objects.filter(slug=SLUG).first() or _make_workspace()
    people = {user.email: user for user in demo_logins.all_of_them()}
    for user in people.values():
        if password is None or not user.check_password(password):
            user.set_password(password)
            user.save(update_fields=["password"])
    sources = {source.code: source for source in workspace.data_sources.all()}
    return Tenant(
        workspace=workspace,
        administrator=people["admin@demo.example"],
        marketer=people["marketer@demo.example"],
        operator=people["operator@demo.example"],
        shop=sources["shop"],
        club=sources["club"],
    )


def _make_workspace() -> Workspace:
    organization = Organization.objects.filter(
        slug=ORGANIZATION
    ).first() or tenants.create_organization(name="CDNOW", slug=ORGANIZATION, actor=None)
    workspace = tenants.create_workspace(
        organization=organization,
        name="Music shop",
        slug=SLUG,
        time_zone="Asia/Shanghai",
        actor=None,
    )
    for email, name, preset in (
        ("admin@demo.example", "Wang Lei", Preset.ADMINISTRATOR),
        ("marketer@demo.example", "Li Mei", Preset.MARKETER),
    ):
        _add_member(workspace, email, name, preset)
    if not User.objects.filter(email="operator@demo.example").exists():
        User.objects.create_superuser(email="operator@demo.example", name="Operator")
    _describe_people(workspace)
    return workspace


def _add_member(workspace: Workspace, email: str, name: str, preset: Preset) -> None:
    members.add_member(
        workspace=workspace,
        email=email,
        name=name,
        roles=[workspace.roles.get(preset=preset)],
        actor=None,
        now=workspace.created_at,
    )


def _describe_people(workspace: Workspace) -> None:
    """Say which IDs, tags and events there are.

    The shop's customer id takes the place of ONEID, which this shop does not have: at most
    five types take part in ID Mapping.
    """
    workspace.id_types.filter(code__in=["ONEID", "UNION_ID"]).update(
        enabled=False, in_mapping=False
    )
    last = workspace.id_types.count()
    for number, (code, name) in enumerate(
        [(CUSTOMER_ID, "Customer ID of the shop"), (MEMBER_NO, "Member number of the club")], 1
    ):
        IdType.objects.create(
            workspace=workspace,
            code=code,
            name=name,
            kind=IdKind.DIGITS,
            priority=last + number,
            multi_value=False,
            in_mapping=True,
            sensitive=False,
        )
    shop = DataSource.objects.create(workspace=workspace, code="shop", name="Online shop")
    DataSource.objects.create(workspace=workspace, code="club", name="Members' club")
    Tag.objects.bulk_create(
        Tag(workspace=workspace, code=code, name=name, type=kind, data_source=shop)
        for code, name, kind in _TAGS
    )
    purchase = EventType.objects.create(workspace=workspace, code="purchase", name="Purchase")
    EventAttribute.objects.bulk_create(
        EventAttribute(event_type=purchase, code=code, name=name, type=kind, required=required)
        for code, name, kind, required in _ATTRIBUTES
    )
