from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import AuthenticationFailed, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.api.parsing import JSONInSentencesParser
from webhooks import receipts
from webhooks.api.serializers import ReceiptResultsSerializer, ReceiptsSerializer
from webhooks.models import Webhook

MAX_BODY_BYTES = 1_000_000


class ReceiptsView(APIView):
    """Where a receiving system reports what became of deliveries."""

    # The receipt key is the authentication; it signs the body, so the view checks it itself.
    authentication_classes = []
    permission_classes = []
    parser_classes = [JSONInSentencesParser]

    @extend_schema(
        operation_id="send_receipts",
        tags=["Receipts"],
        request=ReceiptsSerializer,
        responses={200: ReceiptResultsSerializer},
        auth=[],
        description=gettext_lazy(
            "Report up to 1,000 receipts, signed with the webhook’s receipt key as our own "
            "requests are (Standard Webhooks), or with the key as a bearer token. Whether a "
            "delivery is known is not told; sending a receipt again does no harm."
        ),
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
            raise ValidationError({"detail": _("Send at most 1 MB at a time.")}, "too_large")
        now = timezone.now()
        body = request.body
        headers = {name.lower(): value for name, value in request.headers.items()}
        webhook = Webhook.objects.filter(public_id=public_id, receipts_enabled=True).first()
        if webhook is None or not receipts.authenticate(
            webhook, headers=headers, body=body, now=now
        ):
            raise AuthenticationFailed(_("The receipt key is missing or wrong."))
        results = receipts.receive(webhook=webhook, items=_items(request.data), now=now)
        return Response(ReceiptResultsSerializer({"results": results}).data)

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _items(data: Any) -> list[Any]:
    items = data.get("receipts") if isinstance(data, dict) else data
    if not isinstance(items, list):
        raise ValidationError(
            {"detail": _("Send an object with the list “receipts”.")}, "invalid_body"
        )
    if not 1 <= len(items) <= receipts.MAX_ITEMS:
        raise ValidationError({"detail": _("Send 1 to 1,000 receipts at a time.")}, "wrong_number")
    return items
