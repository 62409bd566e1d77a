"""Answers for load balancers and orchestrators: no log-in, and nothing told but yes or no.

They ask by address and without TLS, so they are answered before the host's name is looked at.
"""

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from qa_webhook import checkup, metrics
from qa_webhook.checkup import Level

GetResponse = Callable[[HttpRequest], HttpResponse]


@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The process answers. Nothing else is asked, so that a slow database restarts nobody."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """The database answers. The broker is not asked: without it everything goes on, only later."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "unavailable"}, status=503)
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def deep(request: HttpRequest) -> HttpResponse:
    """Everything that keeps people moving: for an alarm, not for a load balancer."""
    found = {name: finding.level for name, finding in checkup.deep().items()}
    queue = found.pop("queue", Level.OK)  # A long one is a warning as long as it moves.
    is_well = queue != Level.FAIL and all(level == Level.OK for level in found.values())
    status = "ok" if is_well else "unavailable"
    return JsonResponse({"status": status, **found, "queue": queue}, status=200 if is_well else 503)


@never_cache
@require_safe
def figures(request: HttpRequest) -> HttpResponse:
    """The metrics, for whoever knows the token; there are none without one."""
    if not settings.METRICS_TOKEN:
        return HttpResponse(status=404)
    given = request.headers.get("Authorization", "")
    if not constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}"):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(metrics.text(), content_type=CONTENT_TYPE_LATEST)


_VIEWS: Final = {
    "/health/live": live,
    "/health/ready": ready,
    "/health/deep": deep,
    "/metrics": figures,
}


def middleware(get_response: GetResponse) -> GetResponse:
    def answer(request: HttpRequest) -> HttpResponse:
        view = _VIEWS.get(request.path_info)
        return view(request) if view else get_response(request)

    return answer
