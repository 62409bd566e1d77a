"""The workspace somebody works in now: remembered in the session, offered by the switcher."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.utils import timezone, translation

from workspaces import permissions
from workspaces.models import Workspace
from workspaces.permissions import Rights

SESSION_KEY = "workspace"
_ATTRIBUTE = "_current_workspace"
_RIGHTS = "_workspace_rights"


def workspace(request: HttpRequest) -> Workspace | None:
    """Return the workspace last entered, or else the first; None when the user is in none.

    Remembered on the request, since header, choice lists and forms all ask.
    """
    if not hasattr(request, _ATTRIBUTE):
        offered = choices(request)
        remembered = request.session.get(SESSION_KEY)
        found = offered.filter(pk=remembered).first() if remembered else None
        setattr(request, _ATTRIBUTE, found or offered.first())
    found_workspace: Workspace | None = getattr(request, _ATTRIBUTE)
    return found_workspace


def rights(request: HttpRequest) -> Rights:
    """Return the visitor's rights, read once a request."""
    if not hasattr(request, _RIGHTS):
        setattr(request, _RIGHTS, permissions.rights_of(request.user))
    found: Rights = getattr(request, _RIGHTS)
    return found


def enter(request: HttpRequest, entered: Workspace) -> None:
    """Remember the workspace for the pages that do not name one in their address."""
    if request.session.get(SESSION_KEY) != entered.pk:
        request.session[SESSION_KEY] = entered.pk
    setattr(request, _ATTRIBUTE, entered)


def choices(request: HttpRequest) -> QuerySet[Workspace]:
    return permissions.workspaces_of(request.user).select_related("organization")


@contextmanager
def locale(request: HttpRequest, entered: Workspace | None) -> Iterator[None]:
    """Work in the workspace's time zone, and in its language for who has chosen none."""
    if entered is None:
        yield
        return
    chosen = getattr(request.user, "language", "")
    language = nullcontext() if chosen else translation.override(entered.language)
    with timezone.override(entered.zone), language:
        yield


def rendered(response: HttpResponseBase) -> HttpResponseBase:
    """Render a response now that would otherwise be rendered outside of ``locale``."""
    if isinstance(response, SimpleTemplateResponse):
        return response.render()
    return response
