"""Answers that several views give: a toast beside them, or on to another page."""

from django.http import HttpResponse, HttpResponseRedirect
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


def show_again(request: WorkspaceRequest, url: str) -> HttpResponse:
    """Let the page that asked show what has changed; a form without a script goes to ``url``."""
    return HttpResponseClientRefresh() if request.htmx else HttpResponseRedirect(url)
