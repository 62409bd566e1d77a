"""The shape of events and answers, as the API's description shows it."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


# Describes only: ``identity.ingestion`` checks, since one bad event must not stop the others.
class EventSerializer(serializers.Serializer[Any]):
    """One time something happened to somebody."""

    event_id = serializers.CharField(
        max_length=100,
        help_text=_("Makes the event the same one when it is sent again; remembered for 7 days."),
    )
    event_type = serializers.CharField(help_text=_("The code of an event type."))
    ids = serializers.DictField(
        child=serializers.CharField(),
        help_text=_("Whose event it is: IDs by ID type, all of one person."),
    )
    occurred_at = serializers.DateTimeField(
        required=False,
        help_text=_("At most 7 days ago; now when it is left out."),
    )
    attributes = serializers.DictField(
        required=False, help_text=_("Values by the attributes’ codes, in their types.")
    )


class EventsSerializer(serializers.Serializer[Any]):
    events = EventSerializer(many=True, help_text=_("1 to 1,000 events."))


class ItemResultSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text=_("The place of the event in the request, from 0."))
    id = serializers.CharField(help_text=_("Its event id."))
    status = serializers.ChoiceField(choices=["accepted", "duplicate", "rejected"])
    code = serializers.CharField(help_text=_("Why it was not accepted, for programs."))
    message = serializers.CharField(help_text=_("Why it was not accepted, for people."))


class ItemResultsSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    results = ItemResultSerializer(many=True, help_text=_("One answer an event, in their order."))
