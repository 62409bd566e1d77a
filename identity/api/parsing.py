"""Reading a request's JSON, and saying in a sentence why it cannot be read."""

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.status import HTTP_413_REQUEST_ENTITY_TOO_LARGE

MAX_BODY_BYTES: Final = 5 * 1024 * 1024


class BodyTooLarge(APIException):
    status_code = HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"
    default_detail = _("The request is larger than 5 MB. Send fewer events at a time.")


def refuse_large_body(request: Request) -> None:
    """Refuse before anything is read; Django itself would end the request with an HTML page."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
        raise BodyTooLarge


class JSONInSentencesParser(JSONParser):
    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return super().parse(stream, media_type, dict(parser_context or {}))
        except (ParseError, RecursionError):
            raise ParseError(_("The request is not JSON in UTF-8."), "invalid_json") from None
