"""A week before a usage permission ends, its holders and the administrators are told, once."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from qa_webhook.tasks import upkeep
from tests.webhooks.factories import (
    NOW,
    make_administrator,
    make_member,
    make_webhook,
    make_workspace,
    membership_of,
    role_of,
)
from webhooks import granting, usage_ends
from webhooks.models import Webhook
from workspaces import member_groups, notices
from workspaces.choices import Preset
from workspaces.models import Notice, User

pytestmark = pytest.mark.django_db

WEEK = timedelta(days=7)


@pytest.fixture
def webhook() -> Webhook:
    return make_webhook(make_workspace(time_zone="Asia/Shanghai"), name="CRM coupons")


@pytest.fixture
def administrator(webhook: Webhook) -> User:
    return make_administrator(webhook.workspace)


@pytest.fixture
def li_mei(webhook: Webhook) -> User:
    return make_member(webhook.workspace, name="Li Mei")


def give(webhook: Webhook, *users: User, ends_in: timedelta | None, **grantees: Any) -> None:
    people = [membership_of(user, webhook.workspace) for user in users]
    granting.grant(
        webhook=webhook,
        grantees=granting.Grantees(members=people, **grantees),
        actor=None,
        ends_at=NOW + ends_in if ends_in else None,
        now=NOW,
    )


def texts_of(user: User) -> list[str]:
    with timezone.override("Asia/Shanghai"):
        return [notices.text_of(notice) for notice in Notice.objects.filter(user=user)]


def test_a_holder_and_the_administrators_are_told_once(
    webhook: Webhook, administrator: User, li_mei: User
) -> None:
    give(webhook, li_mei, ends_in=WEEK)

    usage_ends.tell(now=NOW)
    usage_ends.tell(now=NOW)
    for user in (li_mei, administrator):
        notices.read(user=user, now=NOW)
    usage_ends.tell(now=NOW + timedelta(days=3))

    (told,) = texts_of(li_mei)
    assert told == (
        "Your usage permission for the webhook “CRM coupons” ends on 1 Dec 2026, 18:00. "
        "Ask an administrator to give it for longer."
    )
    (told,) = texts_of(administrator)
    assert told == (
        "The usage permission of Li Mei for the webhook “CRM coupons” ends on 1 Dec 2026, 18:00. "
        "Give it again to make it last longer."
    )


@pytest.mark.parametrize("ends_in", [None, WEEK + timedelta(seconds=1)])
def test_what_does_not_end_within_the_week_is_not_told(
    webhook: Webhook, administrator: User, li_mei: User, ends_in: timedelta | None
) -> None:
    give(webhook, li_mei, ends_in=ends_in)

    usage_ends.tell(now=NOW)

    assert not Notice.objects.exists()


def test_what_has_ended_is_not_told(webhook: Webhook, administrator: User, li_mei: User) -> None:
    give(webhook, li_mei, ends_in=WEEK)

    usage_ends.tell(now=NOW + WEEK)

    assert not Notice.objects.exists()


def test_a_new_end_is_told_anew(webhook: Webhook, administrator: User, li_mei: User) -> None:
    give(webhook, li_mei, ends_in=timedelta(days=2))
    usage_ends.tell(now=NOW)
    give(webhook, li_mei, ends_in=timedelta(days=5))

    usage_ends.tell(now=NOW)

    assert len(texts_of(li_mei)) == len(texts_of(administrator)) == 2


def test_everybody_of_a_role_and_a_group_is_told(
    webhook: Webhook, administrator: User, li_mei: User
) -> None:
    workspace = webhook.workspace
    analyst = make_member(workspace, Preset.ANALYST)
    other = make_member(workspace, Preset.DEVELOPER)
    group = member_groups.create_group(
        workspace=workspace,
        name="Team",
        memberships=[membership_of(analyst, workspace)],
        actor=None,
    )
    role = role_of(workspace, Preset.MARKETER)
    give(webhook, ends_in=WEEK, roles=[role], groups=[group])

    usage_ends.tell(now=NOW)

    assert [len(texts_of(user)) for user in (li_mei, analyst, other)] == [1, 1, 0]
    assert [
        text.startswith("A usage permission of a role") for text in texts_of(administrator)
    ] == [
        True,
        True,
    ]


def test_who_keeps_the_permission_in_another_way_is_not_worried(
    webhook: Webhook, administrator: User, li_mei: User
) -> None:
    give(webhook, li_mei, ends_in=WEEK)
    give(webhook, ends_in=None, roles=[role_of(webhook.workspace, Preset.MARKETER)])

    usage_ends.tell(now=NOW)

    assert (len(texts_of(li_mei)), len(texts_of(administrator))) == (0, 1)


def test_the_hourly_upkeep_tells_it(webhook: Webhook, administrator: User, li_mei: User) -> None:
    give(webhook, li_mei, ends_in=timezone.now() + timedelta(days=1) - NOW)

    upkeep()
    upkeep()

    with translation.override("zh-hans"):
        (text,) = texts_of(li_mei)
    assert "CRM coupons" in text
