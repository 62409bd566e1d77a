"""Every address of the console, the API and the admin."""

from django.contrib import admin
from django.urls import include, path

from qa_webhook import health

urlpatterns = [
    path("", include("workspaces.urls")),
    path("", include("journeys.urls")),
    path("accounts/", include("workspaces.account_urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("identity.api.urls")),
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
]

handler403 = "workspaces.views.permission_denied"
