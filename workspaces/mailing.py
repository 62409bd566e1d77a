"""Notices by e-mail, where mail is set up: what stood unread behind the bell for some minutes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from smtplib import SMTPRecipientsRefused
from typing import Final

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.utils import timezone, translation
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from workspaces import notices
from workspaces.models import Notice

log = structlog.get_logger(__name__)

UNREAD_FOR: Final = timedelta(minutes=5)
# Older ones are no news any more, as when mail is set up for the first time.
NEWS_FOR: Final = timedelta(days=1)
AT_ONCE: Final = 500
_SUBJECT_LENGTH: Final = 150


def is_set_up() -> bool:
    """Tell whether mail is sent at all: the dummy backend is what stands there without."""
    return not settings.EMAIL_BACKEND.endswith("dummy.EmailBackend")


def send_due(*, now: datetime) -> int:
    """Mail what is due, each notice once; return how many mails went out. Any number may run.

    All that somebody has not read of one workspace is one mail. A mail server that cannot be
    reached is tried again the next time.
    """
    if not is_set_up():
        return 0
    due = _claim(now)
    sent = 0
    try:
        with get_connection() as connection:
            while due:
                sent += _send(due[0], connection)
                due.pop(0)
    except OSError as error:
        left = [notice.pk for found in due for notice in found]
        Notice.objects.filter(pk__in=left).update(mailed_at=None)
        log.warning("mail_failed", notices=len(left), error=type(error).__name__)
    return sent


def _send(found: Sequence[Notice], connection: BaseEmailBackend) -> int:
    message = _message(found)
    if message is None:
        return 0
    message.connection = connection
    try:
        return int(message.send())
    except SMTPRecipientsRefused:  # Nor would it be taken the next time.
        log.warning("mail_refused", user=found[0].user_id)
        return 0


def _claim(now: datetime) -> list[list[Notice]]:
    """Take what is due and mark it as mailed, so that no other process takes it too.

    In one list what one user is told of one workspace, the oldest first.
    """
    with transaction.atomic():
        due = list(
            Notice.objects.unread()
            .filter(
                mailed_at=None,
                created_at__lte=now - UNREAD_FOR,
                created_at__gt=now - NEWS_FOR,
                user__is_active=True,
                user__wants_mail=True,
            )
            .select_related("user", "workspace")
            .select_for_update(skip_locked=True, of=("self",))
            .order_by("created_at", "pk")[:AT_ONCE]
        )
        Notice.objects.filter(pk__in=[each.pk for each in due]).update(mailed_at=now)
    whose = attrgetter("user_id", "workspace_id")
    return [list(found) for _whose, found in groupby(sorted(due, key=whose), key=whose)]


def _message(found: Sequence[Notice]) -> EmailMessage | None:
    """Return the mail in its reader's language; None for who has left the workspace."""
    user, workspace = found[0].user, found[0].workspace
    if not notices.of(user).filter(pk=found[0].pk).exists():
        return None
    with (
        translation.override(user.language or workspace.language),
        timezone.override(workspace.zone),
    ):
        told = [(" ".join(notices.text_of(each).split()), each.url) for each in found]
        subject = told[0][0]
        if len(told) > 1:
            subject = ngettext("%(count)d notice", "%(count)d notices", len(told))
            subject %= {"count": len(told)}
        where = {"workspace": workspace.name, "zone": workspace.time_zone}
        parts = [f"{text}\n{settings.SITE_URL}{url}" if url else text for text, url in told]
        parts.append(_("Workspace: %(workspace)s. Times are in %(zone)s.") % where)
        parts.append(_("You choose in your settings whether notices are mailed to you."))
        return EmailMessage(
            subject=Truncator(f"{settings.PRODUCT_NAME}: {subject}").chars(_SUBJECT_LENGTH),
            body="\n\n".join(parts),
            to=[user.email],
        )
