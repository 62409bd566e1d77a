"""What the frame around every page shows."""

from django.http import HttpRequest
from django.utils.functional import cached_property

from workspaces import current, members, notices, permissions
from workspaces.models import User, Workspace
from workspaces.points import Point


class Frame:
    """Read by header and navigation; each question is asked when a template asks it.

    In templates: ``frame.workspace``, ``frame.workspaces`` (for the switcher),
    ``frame.may_enter_setup``, ``frame.unread``, and ``frame.may.<point>`` such as
    ``frame.may.automated_marketing``.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def workspace(self) -> Workspace | None:
        named: Workspace | None = getattr(self._request, "workspace", None)
        return named or current.workspace(self._request)

    @cached_property
    def workspaces(self) -> list[Workspace]:
        return list(current.choices(self._request))

    @cached_property
    def may(self) -> dict[str, bool]:
        if self.workspace is None:
            return {}
        held = permissions.points_of(self._request.user, self.workspace)
        return {point.value: point in held for point in Point}

    @cached_property
    def may_enter_setup(self) -> bool:
        return permissions.may_enter_setup(self._request.user)

    @cached_property
    def unread(self) -> int:
        """Return the number on the bell: unread notices and open invitations."""
        user = self._request.user
        if not isinstance(user, User):
            return 0
        return notices.of(user).unread().count() + len(members.invitations_of(user))


def frame(request: HttpRequest) -> dict[str, Frame]:
    return {"frame": Frame(request)}
