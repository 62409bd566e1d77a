"""What is told to whom, once, in whose language."""

import pytest
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy

from tests.factories import (
    NOW,
    make_administrator,
    make_head,
    make_member,
    make_user,
    make_workspace,
    membership_of,
)
from workspaces import members, notices
from workspaces.models import Notice
from workspaces.points import Point

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _kinds() -> None:
    notices.register("test_paused", "Journey “%(journey)s” is paused.")
    notices.register("test_language", gettext_lazy("Monday"))


def test_the_addressees_are_told() -> None:
    workspace = make_workspace()
    user = make_member(workspace)

    notices.tell(
        workspace=workspace,
        kind="test_paused",
        params={"journey": "Welcome"},
        url="/w/x/",
        to=[user],
    )

    told = notices.of(user).get()
    assert notices.text_of(told) == "Journey “Welcome” is paused."
    assert told.url == "/w/x/"


def test_who_has_left_is_told_nothing_and_sees_nothing() -> None:
    workspace = make_workspace()
    user = make_member(workspace)
    notices.tell(workspace=workspace, kind="test_paused", params={"journey": "A"}, to=[user])

    members.remove_member(membership=membership_of(user, workspace), actor=None)
    notices.tell(
        workspace=workspace, kind="test_paused", params={"journey": "B"}, to=[user, make_user()]
    )

    assert Notice.objects.count() == 1
    assert not notices.of(user).exists()


def test_without_addressees_the_administrators_are_told() -> None:
    workspace = make_workspace()
    make_member(workspace)
    told = {make_administrator(workspace), make_head(workspace.organization)}

    notices.tell(workspace=workspace, kind="test_paused", params={"journey": "A"})

    assert {notice.user for notice in Notice.objects.all()} == told


def test_a_point_addresses_who_holds_it() -> None:
    workspace = make_workspace()
    holder = make_member(workspace, points=[Point.WEBHOOK_MANAGEMENT])
    make_member(workspace)

    notices.tell(
        workspace=workspace,
        kind="test_paused",
        params={"journey": "A"},
        point=Point.WEBHOOK_MANAGEMENT,
    )

    assert {notice.user for notice in Notice.objects.all()} == {holder}


def test_the_same_is_not_told_again_before_it_is_read() -> None:
    workspace = make_workspace()
    user = make_member(workspace)

    def tell() -> None:
        notices.tell(
            workspace=workspace,
            kind="test_paused",
            params={"journey": "A"},
            to=[user],
            subject="journey:1",
        )

    tell()
    tell()
    assert Notice.objects.count() == 1

    notices.read(user=user, now=NOW)
    tell()
    assert Notice.objects.count() == 2


def test_a_notice_is_read_in_the_readers_language() -> None:
    workspace = make_workspace()
    user = make_member(workspace)
    with translation.override("en"):
        notices.tell(workspace=workspace, kind="test_language", to=[user])

    with translation.override("zh-hans"):
        assert notices.text_of(notices.of(user).get()) == "星期一"


def test_times_and_reasons_in_a_notice_are_the_readers() -> None:
    workspace = make_workspace()
    user = make_member(workspace)
    with translation.override("zh-hans"):
        notices.tell(
            workspace=workspace,
            kind="test_paused",
            params={"journey": gettext_lazy("Monday")},
            to=[user],
            subject="reason",
        )
        notices.tell(
            workspace=workspace,
            kind="test_paused",
            params={"journey": NOW},
            to=[user],
            subject="time",
        )
    reason, at = notices.of(user).order_by("subject")

    with timezone.override("Asia/Shanghai"), translation.override("en"):
        assert "24 Nov 2026, 18:00" in notices.text_of(at)
        assert "Monday" in notices.text_of(reason)
    with timezone.override("UTC"), translation.override("zh-hans"):
        assert "2026年11月24日 10:00" in notices.text_of(at)
        assert "星期一" in notices.text_of(reason)


def test_nobody_reads_for_somebody_else() -> None:
    workspace = make_workspace()
    user = make_member(workspace)
    notices.tell(workspace=workspace, kind="test_paused", params={"journey": "A"}, to=[user])

    notices.read(user=make_member(workspace), now=NOW, notice_id=Notice.objects.get().pk)

    assert notices.of(user).unread().exists()


def test_a_kind_without_a_sentence_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        notices.tell(workspace=make_workspace(), kind="nonsense")
