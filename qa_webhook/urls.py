"""Every address of the console, the API and the admin."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

urlpatterns = [
    path("", include("workspaces.urls")),
    path("", include("journeys.urls")),
    path("accounts/", include("workspaces.account_urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("identity.api.urls")),
    path("api/v1/", include("webhooks.api.urls")),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="api_schema"),
    path(
        "api/v1/docs/", SpectacularSwaggerSplitView.as_view(url_name="api_schema"), name="api_docs"
    ),
]

handler403 = "workspaces.views.permission_denied"
handler500 = "qa_webhook.errors.server_error"
