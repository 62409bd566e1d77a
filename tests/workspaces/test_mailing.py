"""Notices by e-mail: once, to who has not read them, in their language, and only with a server."""

from datetime import timedelta
from smtplib import SMTPRecipientsRefused, SMTPServerDisconnected
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone
from django.utils.translation import gettext_lazy

from tests.factories import make_member, make_workspace, membership_of
from workspaces import mailing, members, notices
from workspaces.models import Notice, User

pytestmark = pytest.mark.django_db

LATER = mailing.UNREAD_FOR + timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _kinds() -> None:
    notices.register("test_paused", "Journey “%(journey)s” is paused.")
    notices.register("test_language", gettext_lazy("Monday"))


def tell(user: User, journey: str = "Welcome", kind: str = "test_paused") -> None:
    notices.tell(
        workspace=user.memberships.get().workspace,
        kind=kind,
        params={"journey": journey},
        url="/w/x/",
        to=[user],
    )


def test_what_stays_unread_is_mailed_once(settings: Any) -> None:
    settings.SITE_URL = "https://console.example"
    user = make_member(make_workspace())
    tell(user, "Spring\nBcc: everybody@example.com")

    assert mailing.send_due(now=timezone.now()) == 0
    assert mailing.send_due(now=timezone.now() + LATER) == 1
    assert mailing.send_due(now=timezone.now() + LATER) == 0

    (sent,) = mail.outbox
    assert sent.to == [user.email]
    assert sent.subject == (
        f"{settings.PRODUCT_NAME}: Journey “Spring Bcc: everybody@example.com” is paused."
    )
    assert "https://console.example/w/x/" in sent.body
    assert "Times are in " in sent.body


def test_all_that_is_unread_of_one_workspace_is_one_mail() -> None:
    user, other = make_member(make_workspace()), make_member(make_workspace())
    for journey in ("Welcome", "Birthday"):
        tell(user, journey)
    tell(other)

    assert mailing.send_due(now=timezone.now() + LATER) == 2

    both, one = sorted(mail.outbox, key=lambda each: each.to != [user.email])
    assert both.subject.endswith(": 2 notices")
    assert both.body.index("“Welcome” is paused.") < both.body.index("“Birthday” is paused.")
    assert one.to == [other.email]


def test_who_wants_no_mail_gets_none(client: Client) -> None:
    user = make_member(make_workspace())
    client.force_login(user)
    page = client.get("/settings/").content.decode()
    assert "E-mail me notices that I have not read" in page

    client.post("/settings/", {"name": user.name, "language": ""})
    tell(user)

    assert mailing.send_due(now=timezone.now() + LATER) == 0
    assert mail.outbox == []


def test_a_mail_speaks_its_readers_language() -> None:
    user = make_member(make_workspace())
    user.language = "zh-hans"
    user.save()
    tell(user, kind="test_language")

    mailing.send_due(now=timezone.now() + LATER)

    assert "星期一" in mail.outbox[0].subject
    assert "时间" in mail.outbox[0].body


def test_what_was_read_or_is_old_or_of_somebody_who_left_is_not_mailed() -> None:
    workspace = make_workspace()
    reader, late, left, gone = (make_member(workspace) for _number in range(4))
    for user in (reader, late, left, gone):
        tell(user)
    notices.read(user=reader, now=timezone.now())
    Notice.objects.filter(user=late).update(created_at=timezone.now() - timedelta(days=2))
    members.remove_member(membership=membership_of(left, workspace), actor=None)
    User.objects.filter(pk=gone.pk).update(is_active=False)

    mailing.send_due(now=timezone.now() + LATER)

    assert mail.outbox == []


def test_without_a_mail_server_nothing_is_sent(client: Client, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    tell(make_member(make_workspace()))

    assert mailing.send_due(now=timezone.now() + LATER) == 0
    assert Notice.objects.get().mailed_at is None
    client.force_login(Notice.objects.get().user)
    assert "E-mail me notices" not in client.get("/settings/").content.decode()


def test_a_server_that_is_away_is_tried_again_and_one_refusal_stops_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace = make_workspace()
    users = [make_member(workspace) for _number in range(3)]
    for user in users:
        tell(user)
    send = mail.EmailMessage.send
    failing: list[Exception] = [
        SMTPRecipientsRefused({}),
        SMTPServerDisconnected("The server went away."),
    ]

    def refusing(message: mail.EmailMessage, fail_silently: bool = False) -> int:
        if failing:
            raise failing.pop(0)
        return send(message, fail_silently)

    monkeypatch.setattr(mail.EmailMessage, "send", refusing)

    mailing.send_due(now=timezone.now() + LATER)
    assert mail.outbox == []
    assert Notice.objects.filter(mailed_at=None).count() == 2
    mailing.send_due(now=timezone.now() + LATER)
    assert [each.to for each in mail.outbox] == [[user.email] for user in users[1:]]
