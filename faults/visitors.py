"""Somebody who is logged in at a web process of the rig's; what they are shown is kept for I6."""

import re
from collections.abc import Callable, Mapping
from html import unescape
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from django.conf import settings
from django.test import Client
from django.urls import reverse

from faults.rig import Rig
from journeys.models import Journey

_CSRF: Final = "c" * 32


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: where it leads is the answer."""


class Visitor:
    """One user's session, over HTTP."""

    def __init__(self, rig: Rig, *, user: Any, port: int, address: str = "127.0.0.1") -> None:
        client = Client()
        client.force_login(user)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        self._seen = rig.pages
        self._root = f"http://{address}:{port}"
        self._headers = {
            "Cookie": f"{settings.SESSION_COOKIE_NAME}={session}; "
            f"{settings.CSRF_COOKIE_NAME}={_CSRF}",
            "X-CSRFToken": _CSRF,
        }

    def get(self, path: str) -> str:
        return self._ask(Request(self._root + path, headers=self._headers))[1]

    def post(self, path: str, data: Mapping[str, str]) -> int:
        body = urlencode(data).encode()
        return self._ask(Request(self._root + path, data=body, headers=self._headers))[0]

    def _ask(self, request: Request) -> tuple[int, str]:
        try:
            with build_opener(_Stay).open(request, timeout=60) as answer:
                status, body = answer.status, answer.read()
        except HTTPError as error:
            status, body = error.code, error.read()
        self._seen.append((request.full_url, body))
        return status, body.decode()


def field(page: str, name: str) -> str:
    """Return the value of a form's field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    return unescape(found[1]) if found else ""


def publishing(marketer: Visitor, journey: Journey, *, people: int) -> Callable[[], int]:
    """Let a marketer read the review; return what presses its button."""
    address = reverse("journeys:publish", args=[journey.workspace.slug, journey.pk])
    review = marketer.get(address + "?count=")
    confirmed = {"seen": field(review, "seen"), "number": str(people)}
    return lambda: marketer.post(address, confirmed)
