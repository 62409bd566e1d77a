"""A console without views: the real base and includes, under the real security policy.

Playwright asks this instead of a server, so the gallery needs neither database nor URLs.
"""

import json
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.template.backends.django import DjangoTemplates
from django.test import RequestFactory
from django.utils import translation
from playwright.sync_api import Page, Route

from tests.browser import samples

ORIGIN: Final = "http://console.test"
_POLICY: Final = "; ".join(
    f"{name} {' '.join(sources)}"
    for name, sources in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].items()
)


@dataclass
class Answer:
    status: int = 200
    template: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    events: dict[str, Any] = field(default_factory=dict)


Handler = Callable[[dict[str, str]], Answer]


class Site:
    """Answers what the mock pages ask for, and remembers what they sent."""

    def __init__(self, page: Page, *, language: str = "en", theme: str = "") -> None:
        self.language = language
        self.theme = theme
        self.posts: list[tuple[str, dict[str, str]]] = []
        self.problems: list[str] = []
        self.handlers: dict[tuple[str, str], Handler] = {}
        self._templates = DjangoTemplates(
            {
                "NAME": "gallery",
                "DIRS": [Path(__file__).parent / "templates", *settings.TEMPLATES[0]["DIRS"]],
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
            }
        )
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.route(f"{ORIGIN}/**", self._answer)

    def on(self, verb: str, path: str, handler: Handler) -> None:
        self.handlers[verb, path] = handler

    def _note(self, kind: str, text: str) -> None:
        # A refused form is logged by the browser as a failed load, although it is a normal answer.
        if kind == "error" and "422" not in text:
            self.problems.append(text)

    def _answer(self, route: Route) -> None:
        parts = urlsplit(route.request.url)
        if parts.path.startswith("/static/"):
            self._static(route, parts.path.removeprefix("/static/"))
            return
        values = {
            name: given[-1] for name, given in parse_qs(route.request.post_data or "").items()
        }
        verb = route.request.method
        if verb == "POST":
            self.posts.append((parts.path, values))
        handler = self.handlers.get((verb, parts.path))
        answer = handler(values) if handler else self._page(parts.path)
        headers = {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": _POLICY,
        }
        if answer.events:
            headers["hx-trigger"] = json.dumps(answer.events)
        body = self.render(answer.template, answer.context, url=route.request.url)
        route.fulfill(status=answer.status, headers=headers, body=body)

    def _static(self, route: Route, path: str) -> None:
        found = finders.find(path)
        if found is None:
            self.problems.append(f"There is no static file {path}.")
            route.fulfill(status=404)
            return
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        route.fulfill(body=Path(found).read_bytes(), content_type=kind)

    def _page(self, path: str) -> Answer:
        name = path.strip("/")
        return Answer(template=f"mock/{name}.html", context=samples.context(name))

    def render(self, template: str, context: dict[str, Any], *, url: str) -> str:
        if not template:
            return ""
        request: HttpRequest = RequestFactory().get(url.removeprefix(ORIGIN))
        if self.theme:
            request.COOKIES["theme"] = self.theme
        if "rows" in context:
            context["page"] = Paginator(range(138), 50).page(1)
        with translation.override(self.language):
            frame = samples.frame(self.language)
            return str(
                self._templates.get_template(template).render(
                    {"product_name": settings.PRODUCT_NAME, "frame": frame} | context, request
                )
            )
