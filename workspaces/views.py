"""The frame of the console: entering a workspace, the bell, one's own settings."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views import csrf
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.middleware import HtmxDetails

from workspaces import current, members, notices, permissions
from workspaces.choices import Language
from workspaces.forms import SettingsForm
from workspaces.models import Membership, Notice, User, Workspace
from workspaces.points import Point

P = ParamSpec("P")
NOTICES_A_PAGE = 50


class MemberRequest(HttpRequest):
    """A request of somebody who is logged in."""

    user: User
    htmx: HtmxDetails


class WorkspaceRequest(MemberRequest):
    """A request to a page of one workspace, by a member of it."""

    workspace: Workspace


def workspace_view(
    point: Point | None = None,
) -> Callable[
    [Callable[Concatenate[WorkspaceRequest, P], HttpResponseBase]],
    Callable[..., HttpResponseBase],
]:
    """Guard a view under ``/w/<slug>/``, and run it in the workspace's time zone.

    The view gets ``request.workspace`` and not the slug. Not logged in: to the log-in. Not a
    member: 404, as if there were no such workspace. Without the point: 403.
    """

    def decorate(
        view: Callable[Concatenate[WorkspaceRequest, P], HttpResponseBase],
    ) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(
            request: HttpRequest, slug: str, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            entered = _workspace_or_404(request, slug)
            if point is not None:
                permissions.require(request.user, entered, point)
            member_request = cast("WorkspaceRequest", request)
            member_request.workspace = entered
            current.enter(request, entered)
            with current.locale(request, entered):
                return current.rendered(view(member_request, *args, **kwargs))

        return cast("Callable[..., HttpResponseBase]", login_required(guarded))

    return decorate


@require_GET
@login_required
def home(request: MemberRequest) -> HttpResponse:
    """Lead to where the member's work is."""
    workspace = current.workspace(request)
    if workspace is not None:
        return redirect(landing_page(request.user, workspace))
    if members.invitations_of(request.user):
        return redirect("workspaces:notices")
    return render(request, "workspaces/no_workspace.html", {})


@require_GET
@login_required
def workspace_home(request: MemberRequest, slug: str) -> HttpResponse:
    """Enter a workspace, and lead to where the member's work is in it."""
    workspace = _workspace_or_404(request, slug)
    current.enter(request, workspace)
    return redirect(landing_page(request.user, workspace))


def landing_page(user: User, workspace: Workspace) -> str:
    """Return the set-up for who sets up, the journeys for everybody else."""
    held = permissions.points_of(user, workspace)
    sets_up = permissions.administers(user, workspace) or (
        held & permissions.SETUP_POINTS and Point.AUTOMATED_MARKETING not in held
    )
    return reverse("admin:index") if sets_up else reverse("journeys:list", args=[workspace.slug])


@require_POST
@login_required
def language(request: MemberRequest) -> HttpResponse:
    """Choose the language from the menu; it stays with the member, not with the browser."""
    chosen = request.POST.get("language", "")
    if chosen in Language.values:
        request.user.language = chosen
        request.user.save(update_fields=["language"])
    following = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(following, {request.get_host()}, request.is_secure()):
        return redirect(following)
    return redirect("workspaces:start")


@require_http_methods(["GET", "POST"])
@login_required
def settings(request: MemberRequest) -> HttpResponse:
    """The member's own name and language.

    The zone that it names is that of the workspace in the header.
    """
    form = SettingsForm(request.POST if request.method == "POST" else None, instance=request.user)
    if form.is_valid():
        form.save()
        messages.success(request, _("Your settings are saved."))
        return redirect("workspaces:settings")
    context = {"form": form, "memberships": _memberships(request.user)}
    workspace = current.workspace(request)
    with timezone.override(workspace.zone if workspace else None):
        return render(
            request, "workspaces/settings.html", context, status=422 if form.is_bound else 200
        )


@require_GET
@login_required
def notice_list(request: MemberRequest) -> HttpResponse:
    """What is behind the bell: a page, or the menu's content for htmx.

    Its times are those of the workspace in the header.
    """
    told = list(notices.of(request.user)[:NOTICES_A_PAGE])
    context = {
        "notices": [{"notice": notice, "text": notices.text_of(notice)} for notice in told],
        "invitations": members.invitations_of(request.user),
    }
    name = "workspaces/_notices.html" if request.htmx else "workspaces/notices.html"
    workspace = current.workspace(request)
    with timezone.override(workspace.zone if workspace else None):
        return render(request, name, context)


@require_POST
@login_required
def notices_read(request: MemberRequest) -> HttpResponse:
    """Mark everything behind the bell as read."""
    notices.read(user=request.user, now=timezone.now())
    return redirect("workspaces:notices")


@require_POST
@login_required
def notice_open(request: MemberRequest, pk: int) -> HttpResponse:
    """Mark one notice as read, and go where it points."""
    notice = get_object_or_404(Notice, pk=pk, user=request.user)
    notices.read(user=request.user, now=timezone.now(), notice_id=pk)
    return redirect(notice.url or "workspaces:notices")


@require_POST
@login_required
def invitation_answer(request: MemberRequest, pk: int, accept: bool) -> HttpResponse:
    """Accept or decline an invitation to a workspace."""
    membership = get_object_or_404(
        Membership.objects.pending().select_related("workspace"), pk=pk, user=request.user
    )
    if not accept:
        members.decline_invitation(membership=membership, user=request.user)
        return redirect("workspaces:notices")
    members.accept_invitation(membership=membership, user=request.user)
    messages.success(
        request, _("You are now a member of %(workspace)s.") % {"workspace": membership.workspace}
    )
    return redirect("workspaces:home", slug=membership.workspace.slug)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The 403 page: which permission is missing, when one was named, and whom to ask."""
    missing = str(exception.args[0]) if exception.args else ""
    workspace: Workspace | None = getattr(request, "workspace", None)
    context: dict[str, Any] = {"missing": missing, "administrators": []}
    if isinstance(request.user, User) and (workspace or (workspace := current.workspace(request))):
        context["administrators"] = permissions.administrators_of(workspace)[:5]
    return render(request, "403.html", context, status=403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form with an old token. A script gets the present one with it, to ask again.

    Another site's script can neither send what marks ours nor read the answer.
    """
    response = csrf.csrf_failure(request, reason)
    if request.headers.get("HX-Request"):
        response["X-CSRFToken"] = get_token(request)
    return response


def _workspace_or_404(request: HttpRequest, slug: str) -> Workspace:
    return get_object_or_404(current.choices(request), slug=slug)


def _memberships(user: User) -> list[Membership]:
    return list(
        Membership.objects.live()
        .filter(user=user)
        .select_related("workspace__organization")
        .prefetch_related("roles")
    )
