"""Answers that several views give: a toast beside them, or on to another page."""

from django.http import HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import (
    HttpResponseClientRedirect,
    HttpResponseClientRefresh,
    trigger_client_event,
)

from workspaces.views import WorkspaceRequest


def said(response: HttpResponse, text: str, *, tone: str = "success") -> HttpResponse:
    """Add a toast to an answer."""
    return trigger_client_event(response, "toast", {"text": text, "tone": tone})


def refused(text: str, *, status: int) -> HttpResponse:
    """Say why nothing was done; there is nothing to swap."""
    return said(HttpResponse(text, status=status, content_type="text/plain"), text, tone="error")


def go_to(request: WorkspaceRequest, url: str) -> HttpResponse:
    """Lead the browser on, asked by a script or by a form."""
    return HttpResponseClientRedirect(url) if request.htmx else HttpResponseRedirect(url)


def onward(request: WorkspaceRequest, otherwise: str) -> str:
    """Return the address that a saved form leads on to: whoever saved on leaving posts it."""
    then = request.POST.get("then", "")
    is_ours = url_has_allowed_host_and_scheme(
        then, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return then if is_ours else otherwise


def show_again(request: WorkspaceRequest, url: str) -> HttpResponse:
    """Let the page that asked show what has changed; a form without a script goes to ``url``."""
    return HttpResponseClientRefresh() if request.htmx else HttpResponseRedirect(url)
