from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from identity.admin.bases import DataAdmin
from identity.models import Event, EventAttribute, EventType, IncomingEvent
from workspaces.admin.base import ScopedTabularInline


class EventAttributeForm(forms.ModelForm[EventAttribute]):
    """Code and type are set once: events that are stored have values by them."""

    class Meta:
        model = EventAttribute
        fields = ("code", "name", "type", "required")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("code", "type"):
            self.fields[name].disabled = self.instance.pk is not None


class EventAttributeInline(ScopedTabularInline):
    model = EventAttribute
    form = EventAttributeForm


@admin.register(EventType)
class EventTypeAdmin(DataAdmin):
    fields = ("name", "code")
    inlines = (EventAttributeInline,)
    list_display = ("name", "code")
    search_fields = ("code", "name")
    search_help_text = gettext_lazy("Search by name or code")
    ordering = ("workspace", "code")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """An event type with events stays until they have left."""
        allowed = super().has_delete_permission(request, obj)
        if not allowed or not isinstance(obj, EventType):
            return allowed
        events = Event.objects.filter(event_type=obj)
        return not (events.exists() or IncomingEvent.objects.filter(event_type=obj).exists())
