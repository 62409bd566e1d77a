from typing import Any, cast

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity import ingestion
from identity.api.parsing import JSONInSentencesParser, refuse_large_body
from identity.api.serializers import EventsSerializer, ItemResultsSerializer
from identity.api.throttling import EventsThrottle, QueueThrottle
from workspaces.authentication import HasScope
from workspaces.choices import Scope
from workspaces.models import ApiKey


class EventsView(APIView):
    """Where systems report what happened."""

    parser_classes = [JSONInSentencesParser]
    permission_classes = [IsAuthenticated, HasScope]
    throttle_classes = [EventsThrottle, QueueThrottle]
    required_scope = Scope.EVENTS_WRITE

    @extend_schema(
        operation_id="send_events",
        tags=["Events"],
        request=EventsSerializer,
        responses={200: ItemResultsSerializer},
        description=_(
            "Report up to 1,000 events. Each gets an answer of its own, so look at them: the call "
            "succeeds when some or all events are rejected. Sending an event again does no harm."
        ),
    )
    def post(self, request: Request) -> Response:
        refuse_large_body(request)
        key = cast(ApiKey, request.auth)
        results = ingestion.receive(
            workspace=key.workspace, items=_items(request.data), now=timezone.now()
        )
        accepted = sum(1 for result in results if result.status == "accepted")
        answer = ItemResultsSerializer({"accepted": accepted, "results": results})
        return Response(answer.data)


def _items(data: Any) -> list[Any]:
    """Return the events of the body: an object with "events", or the list alone."""
    items = data.get("events") if isinstance(data, dict) else data
    if not isinstance(items, list):
        raise ValidationError(
            {"detail": _("Send an object with the list “events”.")}, "invalid_body"
        )
    if not 1 <= len(items) <= ingestion.MAX_ITEMS:
        raise ValidationError(
            {"detail": _("Send 1 to 1,000 events at a time.")}, "wrong_number_of_events"
        )
    return items
