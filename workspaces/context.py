"""What the frame around every page shows; each question is asked only when a template asks it."""

from typing import Any, Final, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise, cached_property
from django.utils.translation import get_language, gettext_lazy, pgettext_lazy
from django.utils.translation import gettext as _

from workspaces import current, mailing, members, notices, permissions
from workspaces.choices import Language
from workspaces.models import User, Workspace
from workspaces.points import Point


class Entry(NamedTuple):
    """One line of the navigation, for whoever holds one of the points."""

    label: str | Promise
    icon: str
    url_name: str
    points: frozenset[Point]


NAVIGATION: Final = (
    Entry(
        gettext_lazy("Journeys"),
        "route",
        "journeys:list",
        frozenset({Point.AUTOMATED_MARKETING, Point.PUBLISH_JOURNEYS, Point.VIEW_DELIVERIES}),
    ),
    Entry(
        pgettext_lazy("navigation", "People"),
        "users",
        "journeys:people",
        frozenset({Point.MANAGE_DATA, Point.VIEW_PROFILES}),
    ),
    Entry(
        gettext_lazy("Audiences"),
        "target-arrow",
        "journeys:audiences",
        frozenset({Point.MANAGE_DATA, Point.AUTOMATED_MARKETING}),
    ),
    Entry(
        gettext_lazy("Events"),
        "bolt",
        "journeys:events",
        frozenset({Point.MANAGE_DATA, Point.VIEW_DELIVERIES}),
    ),
    Entry(
        gettext_lazy("Deliveries"),
        "send",
        "journeys:deliveries",
        frozenset({Point.VIEW_DELIVERIES}),
    ),
)


class Frame:
    """Named ``frame`` in templates; ``templates/base.html`` lists what it reads."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def workspace(self) -> Workspace | None:
        named: Workspace | None = getattr(self._request, "workspace", None)
        return named or current.workspace(self._request)

    @cached_property
    def workspaces(self) -> list[dict[str, Any]]:
        return [
            {
                "name": offered.name,
                "organization": offered.organization.name,
                "url": offered.get_absolute_url(),
                "current": offered == self.workspace,
            }
            for offered in current.choices(self._request)
        ]

    @cached_property
    def points(self) -> set[Point]:
        if self.workspace is None:
            return set()
        return set(current.rights(self._request).points.get(self.workspace.pk, ()))

    @cached_property
    def nav(self) -> list[dict[str, Any]]:
        if self.workspace is None:
            return []
        lines = [
            (entry.label, entry.icon, reverse(entry.url_name, args=[self.workspace.slug]))
            for entry in NAVIGATION
            if entry.points & self.points
        ]
        if self.admin_url:
            lines.append((_("Set-up"), "settings", self.admin_url))
        path = self._request.path
        return [
            {
                "label": label,
                "icon": icon,
                "url": url,
                # The set-up's own page alone: below it the pages of the set-up are listed.
                "current": path == url if url == self.admin_url else path.startswith(url),
            }
            for label, icon, url in lines
        ]

    @cached_property
    def admin_url(self) -> str:
        opens = current.rights(self._request).open_the_setup
        opens = opens or permissions.may_enter_setup(self._request.user)
        return reverse("admin:index") if opens else ""

    @cached_property
    def unread(self) -> int:
        """Return the number on the bell: unread notices and open invitations."""
        user = self._request.user
        if not isinstance(user, User):
            return 0
        return notices.of(user).unread().count() + len(members.invitations_of(user))

    @property
    def person(self) -> dict[str, str]:
        user = self._request.user
        return {"name": str(user), "email": user.email} if isinstance(user, User) else {}

    @property
    def languages(self) -> list[dict[str, Any]]:
        spoken = get_language()
        return [
            {"code": code, "name": name, "current": code == spoken}
            for code, name in Language.choices
        ]

    @property
    def stopped(self) -> dict[str, str] | None:
        if self.workspace is None or not self.workspace.sending_is_stopped:
            return None
        reason = self.workspace.sending_stopped_reason
        return {"text": _("Sending is stopped: %(reason)s") % {"reason": reason}, "url": ""}

    @property
    def sends_mail(self) -> bool:
        return mailing.is_set_up()

    @property
    def notices_url(self) -> str:
        return reverse("workspaces:notices")

    @property
    def profile_url(self) -> str:
        return reverse("workspaces:settings")

    @property
    def language_url(self) -> str:
        return reverse("workspaces:language")

    @property
    def logout_url(self) -> str:
        return reverse("account_logout")


def frame(request: HttpRequest) -> dict[str, Frame]:
    return {"frame": Frame(request)}
