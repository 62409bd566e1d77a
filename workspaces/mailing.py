"""Notices by e-mail, where mail is set up: what stood unread behind the bell for some minutes."""

from datetime import datetime, timedelta
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

from workspaces import notices
from workspaces.models import Notice

log = structlog.get_logger(__name__)

UNREAD_FOR: Final = timedelta(minutes=5)
# Older ones are no news any more, as when mail is set up for the first time.
NEWS_FOR: Final = timedelta(days=1)
AT_ONCE: Final = 100
_SUBJECT_LENGTH: Final = 150


def is_set_up() -> bool:
    """Tell whether mail is sent at all: the dummy backend is what stands there without."""
    return not settings.EMAIL_BACKEND.endswith("dummy.EmailBackend")


def send_due(*, now: datetime) -> int:
    """Mail every notice that is due, each once; return how many went out. Any number may run.

    A mail server that cannot be reached is tried again the next time.
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
        Notice.objects.filter(pk__in=[each.pk for each in due]).update(mailed_at=None)
        log.warning("mail_failed", notices=len(due), error=type(error).__name__)
    return sent


def _send(notice: Notice, connection: BaseEmailBackend) -> int:
    message = _message(notice)
    if message is None:
        return 0
    message.connection = connection
    try:
        return int(message.send())
    except SMTPRecipientsRefused:  # Nor would it be taken the next time.
        log.warning("mail_refused", notice=notice.pk)
        return 0


def _claim(now: datetime) -> list[Notice]:
    """Take what is due and mark it as mailed, so that no other process takes it too."""
    with transaction.atomic():
        due = list(
            Notice.objects.unread()
            .filter(
                mailed_at=None,
                created_at__lte=now - UNREAD_FOR,
                created_at__gt=now - NEWS_FOR,
                user__is_active=True,
            )
            .select_related("user", "workspace")
            .select_for_update(skip_locked=True, of=("self",))
            .order_by("created_at", "pk")[:AT_ONCE]
        )
        Notice.objects.filter(pk__in=[each.pk for each in due]).update(mailed_at=now)
    return due


def _message(notice: Notice) -> EmailMessage | None:
    """Return the mail in its reader's language; None for who has left the workspace."""
    if not notices.of(notice.user).filter(pk=notice.pk).exists():
        return None
    workspace = notice.workspace
    language = notice.user.language or workspace.language
    with translation.override(language), timezone.override(workspace.zone):
        sentence = " ".join(notices.text_of(notice).split())
        where = {"workspace": workspace.name, "zone": workspace.time_zone}
        parts = [
            sentence,
            f"{settings.SITE_URL}{notice.url}" if notice.url else "",
            _("Workspace: %(workspace)s. Times are in %(zone)s.") % where,
        ]
        return EmailMessage(
            subject=Truncator(f"{settings.PRODUCT_NAME}: {sentence}").chars(_SUBJECT_LENGTH),
            body="\n\n".join(filter(None, parts)),
            to=[notice.user.email],
        )
