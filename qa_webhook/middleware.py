"""Headers and a log line for every request."""

import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponse

GetResponse = Callable[[HttpRequest], HttpResponse]
log = structlog.get_logger(__name__)

_PERMISSIONS_POLICY: Final = ", ".join(
    f"{feature}=()" for feature in ("camera", "geolocation", "microphone", "payment", "usb")
)


def permissions_policy(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Permissions-Policy", _PERMISSIONS_POLICY)
        return response

    return middleware


def request_log(get_response: GetResponse) -> GetResponse:
    """One line a request, by the name of its URL: paths and query strings can carry identifiers.

    How long it took stands in a header too, for the browser's network view and the benchmark.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        structlog.contextvars.bind_contextvars(request_id=uuid4().hex)
        try:
            response = get_response(request)
            milliseconds = round((time.perf_counter() - started) * 1000, 1)
            response.headers["Server-Timing"] = f"app;dur={milliseconds}"
            match = request.resolver_match
            if match is not None:
                log.info(
                    "request",
                    method=request.method,
                    view=match.view_name,
                    status=response.status_code,
                    milliseconds=milliseconds,
                )
            return response
        finally:
            structlog.contextvars.unbind_contextvars("request_id")

    return middleware
