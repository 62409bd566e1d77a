"""Numbers and dates are written as the language of the page has them, in the workspace's zone."""

from datetime import UTC, datetime

import pytest
from django.template import Context, Template
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from tests.factories import make_administrator, make_workspace
from workspaces.choices import Language
from workspaces.models import Membership, User

AT = datetime(2025, 11, 3, 17, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("en", "3 Nov 2025, 17:05 · 3 Nov 2025 · 22,981 · 66.7"),
        ("zh-hans", "2025年11月3日 17:05 · 2025年11月3日 · 22,981 · 66.7"),
    ],
)
def test_dates_and_numbers_follow_the_language(language: str, shown: str) -> None:
    template = Template(
        "{% load humanize %}{{ at }} · {{ at|date }} · {{ people|intcomma }}"
        " · {{ share|floatformat:1 }}"
    )

    with translation.override(language), timezone.override(UTC):
        written = template.render(Context({"at": AT, "people": 22_981, "share": 66.66}))

    assert written == shown


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("en", "3 Nov 2025, 17:05 (Asia/Shanghai)"),
        ("zh-hans", "2025年11月3日 17:05（Asia/Shanghai）"),
    ],
)
def test_a_time_in_full_names_its_zone(language: str, shown: str) -> None:
    at = datetime(2025, 11, 3, 9, 5, tzinfo=UTC)
    template = Template("{% load moments %}{{ at|in_full }}")

    with translation.override(language), timezone.override("Asia/Shanghai"):
        written = template.render(Context({"at": at}))

    assert written == shown


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "shown"),
    [(Language.ENGLISH, "4 Nov 2025, 01:05"), (Language.CHINESE, "2025年11月4日 01:05")],
)
def test_a_page_says_when_in_its_language_and_zone(
    client: Client, language: Language, shown: str
) -> None:
    workspace = make_workspace(time_zone="Asia/Shanghai")
    administrator = make_administrator(workspace)
    User.objects.update(language=language)
    Membership.objects.update(created_at=AT)
    client.force_login(administrator)

    written = client.get(reverse("admin:workspaces_membership_changelist")).content.decode()

    assert shown in written
