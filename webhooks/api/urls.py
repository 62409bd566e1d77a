from django.urls import path

from webhooks.api.views import ReceiptsView

urlpatterns = [
    path("webhooks/<uuid:public_id>/receipts/", ReceiptsView.as_view(), name="api_receipts"),
]
