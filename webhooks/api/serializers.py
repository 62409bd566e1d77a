"""The shape of receipts and answers, as the API's description shows it."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


class ReceiptSerializer(serializers.Serializer[Any]):
    """One receipt. ``webhooks.receipts`` checks it, since one bad item must not stop the others."""

    delivery_id = serializers.CharField(help_text=_("The delivery ID of the request."))
    code = serializers.CharField(help_text=_("One of the webhook’s status codes."))
    occurred_at = serializers.DateTimeField(
        required=False, help_text=_("When it happened; now when it is left out.")
    )
    message = serializers.CharField(required=False, help_text=_("A remark for people."))


class ReceiptsSerializer(serializers.Serializer[Any]):
    receipts = ReceiptSerializer(many=True, help_text=_("1 to 1,000 receipts."))


class ReceiptResultSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text=_("The place in the request, from 0."))
    delivery_id = serializers.CharField()
    status = serializers.ChoiceField(choices=["received", "rejected"])
    code = serializers.CharField(help_text=_("Why it was rejected, for programs."))
    message = serializers.CharField(help_text=_("Why it was rejected, for people."))


class ReceiptResultsSerializer(serializers.Serializer[Any]):
    results = ReceiptResultSerializer(many=True, help_text=_("One answer a receipt."))
