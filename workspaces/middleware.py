"""What a logged-in member's request brings along: a language, and a door for the audit trail."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation

from workspaces import audit
from workspaces.choices import Via

GetResponse = Callable[[HttpRequest], HttpResponse]


def member(get_response: GetResponse) -> GetResponse:
    """Speak the member's language; entries recorded during the request name its door."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if language := getattr(request.user, "language", ""):
            translation.activate(language)
            request.LANGUAGE_CODE = language
        with audit.through(_door(request)):
            return get_response(request)

    return middleware


def _door(request: HttpRequest) -> Via:
    if request.path.startswith("/api/"):
        return Via.API
    return Via.ADMIN if request.path.startswith(reverse("admin:index")) else Via.WEB
