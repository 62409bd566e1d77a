"""What every template may name."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def product(request: HttpRequest) -> dict[str, Any]:
    return {"product_name": settings.PRODUCT_NAME}
