"""Usage permissions: given, ended and renewed, and the other gate mended."""

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from tests.webhooks.factories import (
    NOW,
    make_administrator,
    make_member,
    make_webhook,
    make_workspace,
    membership_of,
    role_of,
)
from webhooks import granting, grants
from webhooks.granting import Grantees, Status
from webhooks.models import GroupGrant, MemberGrant, Webhook
from workspaces import member_groups, members
from workspaces.choices import Preset
from workspaces.models import AuditEntry, User, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


@pytest.fixture
def administrator(workspace: Workspace) -> User:
    return make_administrator(workspace, name="Administrator")


@pytest.fixture
def webhook(workspace: Workspace) -> Webhook:
    return make_webhook(workspace)


def status_of(user: User, webhook: Webhook, now: datetime = NOW) -> Status:
    found = granting.standings(webhook, now=now)
    return next(standing.status for standing in found if standing.user == user)


def test_a_grant_to_a_member_opens_the_second_gate(webhook: Webhook, administrator: User) -> None:
    li_mei = make_member(webhook.workspace, name="Li Mei")
    assert status_of(li_mei, webhook) == Status.LACKS_USAGE

    told = granting.grant(
        webhook=webhook,
        grantees=Grantees(members=[membership_of(li_mei, webhook.workspace)]),
        actor=administrator,
        reason="Coupons",
        now=NOW,
    )

    assert told.new == [str(li_mei)]
    assert grants.gate(li_mei, webhook).open
    assert status_of(li_mei, webhook) == Status.CAN_USE
    entry = AuditEntry.objects.get(action="webhook.usage_granted")
    assert (entry.actor, entry.changes["for"]) == (administrator, str(li_mei))


def test_granting_again_updates_the_row(webhook: Webhook, administrator: User) -> None:
    li_mei = make_member(webhook.workspace)
    grantees = Grantees(members=[membership_of(li_mei, webhook.workspace)])
    granting.grant(webhook=webhook, grantees=grantees, actor=administrator, now=NOW)
    granting.end(grant=MemberGrant.objects.get(), actor=administrator, now=NOW)

    told = granting.grant(
        webhook=webhook,
        grantees=grantees,
        actor=administrator,
        ends_at=NOW + timedelta(days=7),
        now=NOW,
    )

    assert told.renewed == [str(li_mei)]
    assert MemberGrant.objects.get().ends_at == NOW + timedelta(days=7)


def test_from_its_end_on_a_grant_gives_nothing(webhook: Webhook, administrator: User) -> None:
    li_mei = make_member(webhook.workspace)
    end = NOW + timedelta(days=1)
    granting.grant(
        webhook=webhook,
        grantees=Grantees(members=[membership_of(li_mei, webhook.workspace)]),
        actor=administrator,
        ends_at=end,
        now=NOW,
    )

    assert status_of(li_mei, webhook, end - timedelta(seconds=1)) == Status.CAN_USE
    assert status_of(li_mei, webhook, end) == Status.ENDED


def test_roles_and_groups_are_granted_in_one_save(webhook: Webhook, administrator: User) -> None:
    workspace = webhook.workspace
    by_role = make_member(workspace)
    by_group = make_member(workspace, preset=None)
    group = member_groups.create_group(
        workspace=workspace,
        name="Coupons",
        memberships=[membership_of(by_group, workspace)],
        actor=administrator,
    )

    told = granting.grant(
        webhook=webhook,
        grantees=Grantees(roles=[role_of(workspace, Preset.MARKETER)], groups=[group]),
        actor=administrator,
        now=NOW,
    )

    assert GroupGrant.objects.filter(content_object=webhook).count() == 2
    assert status_of(by_role, webhook) == Status.CAN_USE
    assert status_of(by_group, webhook) == Status.LACKS_ROLE
    assert told.lacking == [str(by_group)]


def test_the_missing_role_permission_is_mended_in_the_same_save(
    webhook: Webhook, administrator: User
) -> None:
    workspace = webhook.workspace
    analyst = make_member(workspace, Preset.ANALYST)
    (marketer,) = granting.mending_roles(workspace)

    told = granting.grant(
        webhook=webhook,
        grantees=Grantees(members=[membership_of(analyst, workspace)]),
        actor=administrator,
        mend=marketer,
        now=NOW,
    )

    assert told.mended == [str(analyst)]
    assert grants.gate(analyst, webhook).open
    assert set(membership_of(analyst, workspace).roles.all()) == {
        role_of(workspace, Preset.ANALYST),
        marketer,
    }


def test_a_granted_role_that_lacks_the_permission_gets_it(
    webhook: Webhook, administrator: User
) -> None:
    workspace = webhook.workspace
    analyst = make_member(workspace, Preset.ANALYST)

    granting.grant(
        webhook=webhook,
        grantees=Grantees(roles=[role_of(workspace, Preset.ANALYST)]),
        actor=administrator,
        mend=role_of(workspace, Preset.MARKETER),
        now=NOW,
    )

    assert grants.gate(analyst, webhook).open
    assert not membership_of(analyst, workspace).roles.filter(preset=Preset.MARKETER).exists()


def test_only_administrators_give_and_end(webhook: Webhook, administrator: User) -> None:
    developer = make_member(webhook.workspace, Preset.DEVELOPER)
    grantees = Grantees(members=[membership_of(developer, webhook.workspace)])

    with pytest.raises(PermissionDenied):
        granting.grant(webhook=webhook, grantees=grantees, actor=developer, now=NOW)

    granting.grant(webhook=webhook, grantees=grantees, actor=administrator, now=NOW)
    with pytest.raises(PermissionDenied):
        granting.end(grant=MemberGrant.objects.get(), actor=developer, now=NOW)


def test_another_workspaces_member_is_refused(webhook: Webhook, administrator: User) -> None:
    other = make_workspace()
    stranger = make_member(other)

    with pytest.raises(PermissionDenied):
        granting.grant(
            webhook=webhook,
            grantees=Grantees(members=[membership_of(stranger, other)]),
            actor=administrator,
            now=NOW,
        )


def test_a_grant_without_anybody_or_in_the_past_says_so(
    webhook: Webhook, administrator: User
) -> None:
    with pytest.raises(ValidationError, match="at least one workspace member"):
        granting.grant(webhook=webhook, grantees=Grantees(), actor=administrator, now=NOW)
    with pytest.raises(ValidationError, match="in the future"):
        granting.grant(
            webhook=webhook,
            grantees=Grantees(roles=[role_of(webhook.workspace, Preset.MARKETER)]),
            actor=administrator,
            ends_at=NOW,
            now=NOW,
        )


def test_a_failed_mend_grants_nothing(webhook: Webhook, administrator: User) -> None:
    analyst = make_member(webhook.workspace, Preset.ANALYST)

    with pytest.raises(ValidationError, match="does not hold the permission"):
        granting.grant(
            webhook=webhook,
            grantees=Grantees(members=[membership_of(analyst, webhook.workspace)]),
            actor=administrator,
            mend=role_of(webhook.workspace, Preset.DEVELOPER),
            now=NOW,
        )

    assert not MemberGrant.objects.exists()


def test_an_administrator_can_use_it_without_a_grant(webhook: Webhook, administrator: User) -> None:
    assert status_of(administrator, webhook) == Status.CAN_USE


def test_the_list_of_standings_costs_the_same_for_many_members(
    webhook: Webhook, django_assert_max_num_queries: object
) -> None:
    for _number in range(12):
        make_member(webhook.workspace)

    with django_assert_max_num_queries(8):  # type: ignore[operator] # a fixture without types
        granting.standings(webhook, now=NOW)


def test_who_left_and_comes_back_has_no_usage_permission_left(
    webhook: Webhook, administrator: User
) -> None:
    workspace = webhook.workspace
    elsewhere = make_webhook(make_workspace())
    li_mei = make_member(workspace, name="Li Mei")
    membership = membership_of(li_mei, workspace)
    for each in (webhook, elsewhere):
        MemberGrant.objects.create(
            user=li_mei, content_object=each, permission=granting.use_permission()
        )

    members.remove_member(membership=membership, actor=administrator)
    members.add_member(
        workspace=workspace,
        email=li_mei.email,
        roles=[role_of(workspace, Preset.MARKETER)],
        actor=None,
        now=NOW,
    )

    standing = grants.gate(User.objects.get(pk=li_mei.pk), webhook)
    assert (standing.role, standing.usage) == (True, False)
    assert MemberGrant.objects.get(content_object=elsewhere).ends_at is None
