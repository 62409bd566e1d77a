"""The page for what nobody foresaw."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.template.loader import render_to_string


def server_error(request: HttpRequest) -> HttpResponse:
    """The 500 page, drawn without request and database: either may be what failed."""
    page = render_to_string("500.html", {"product_name": settings.PRODUCT_NAME})
    return HttpResponseServerError(page)
