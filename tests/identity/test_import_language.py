"""The reasons of an import are said in the language of whoever imports."""

import io

import pytest
from django.utils import timezone
from django.utils.translation import override

from identity.importing import read
from identity.importing.preview import preview_audience
from tests.factories import make_workspace
from tests.identity.factories import make_audience, make_data_source

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("language", "reason"),
    [("en", "A mobile number has 5 to 15 digits"), ("zh-hans", "手机号为 5 到 15 位数字")],
)
def test_a_line_left_out_says_why_in_the_readers_language(language: str, reason: str) -> None:
    workspace = make_workspace()
    with override(language):
        found = preview_audience(
            audience=make_audience(workspace),
            source=make_data_source(workspace),
            table=read(io.BytesIO(b"MOBILE\nx\n"), encoding="utf-8"),
            now=timezone.now(),
            in_clear=True,
        )

    (reject,) = found.rejects
    assert reject.reason.startswith(reason)
