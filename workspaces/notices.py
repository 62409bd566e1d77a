"""The bell: short lines that tell members what happened while they looked elsewhere."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from workspaces import permissions
from workspaces.choices import Language
from workspaces.models import Notice, User, Workspace
from workspaces.models.notices import NoticeQuerySet
from workspaces.points import Point

_SENTENCES: dict[str, str | Promise] = {}
# Under which are kept, among the params, a time and a text to be translated.
_TIME: Final = "time"
_TEXT: Final = "text"


def register(kind: str, sentence: str | Promise) -> None:
    """Give a kind of notice its sentence, with ``%(name)s`` for each of its params.

    Called when an app starts (``AppConfig.ready``), with a lazily translated sentence.
    """
    _SENTENCES[kind] = sentence


def tell(
    *,
    workspace: Workspace,
    kind: str,
    params: Mapping[str, Any] | None = None,
    url: str = "",
    to: Iterable[User] | None = None,
    point: Point | None = None,
    subject: str = "",
    once: bool = False,
) -> None:
    """Put one notice behind the bell of each addressee.

    Args:
        to: the addressees; who is no longer in the workspace is left out.
        point: addresses all who hold it, when ``to`` is not given. With neither, the
            workspace's and organization's administrators are told.
        subject: what it is about, such as ``journey:12``. An addressee who has an unread
            notice of this kind and subject gets no second one, however often it is told.
        once: not even when the first one was read.
    """
    if kind not in _SENTENCES:
        raise ValueError(f"No sentence is registered for notices of the kind {kind!r}.")
    addressees = _addressees(workspace, to, point)
    if once:
        told = set(
            Notice.objects.filter(kind=kind, subject=subject, user__in=addressees).values_list(
                "user", flat=True
            )
        )
        addressees = [user for user in addressees if user.pk not in told]
    notices = [
        Notice(
            workspace=workspace,
            user=user,
            kind=kind,
            params={name: _json(value) for name, value in (params or {}).items()},
            url=url,
            subject=subject,
        )
        for user in addressees
    ]
    Notice.objects.bulk_create(notices, ignore_conflicts=True)


def text_of(notice: Notice) -> str:
    """Return the notice as a sentence in the language that is active."""
    sentence = _SENTENCES.get(notice.kind)
    if sentence is None:
        return _("Something happened here.")
    text: str = str(sentence) % {name: _shown(value) for name, value in notice.params.items()}
    return text


def of(user: User) -> NoticeQuerySet:
    """Return the user's notices, newest first, of the workspaces they are still in."""
    return Notice.objects.filter(
        user=user, workspace__in=permissions.workspaces_of(user)
    ).select_related("workspace")


def read(*, user: User, now: datetime, notice_id: int | None = None) -> int:
    """Mark one notice of the user as read, or all of them."""
    unread = Notice.objects.filter(user=user).unread()
    if notice_id is not None:
        unread = unread.filter(pk=notice_id)
    return unread.update(read_at=now)


def _addressees(workspace: Workspace, to: Iterable[User] | None, point: Point | None) -> list[User]:
    if to is not None:
        return [user for user in to if _is_in(user, workspace)]
    if point is not None:
        return list(permissions.members_with(workspace, point))
    return list(permissions.administrators_of(workspace))


def _is_in(user: User, workspace: Workspace) -> bool:
    return permissions.workspaces_of(user).filter(pk=workspace.pk).exists()


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return {_TIME: value.isoformat()}
    if isinstance(value, Promise):
        with translation.override(Language.ENGLISH):  # In which the catalogue is asked.
            return {_TEXT: str(value)}
    return value


def _shown(value: Any) -> Any:
    """Return a param for the reader: in the language and the zone that are active."""
    if not isinstance(value, dict):
        return value
    if _TEXT in value:
        return _(value[_TEXT])
    at = timezone.localtime(datetime.fromisoformat(value[_TIME]))
    return date_format(at, "DATETIME_FORMAT")
