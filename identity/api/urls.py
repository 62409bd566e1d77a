from django.urls import path

from identity.api.views import EventsView

urlpatterns = [
    path("events/", EventsView.as_view(), name="api_events"),
]
