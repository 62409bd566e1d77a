"""What every answer of the web process carries, and what load balancers ask."""

import pytest
from django.core.checks import run_checks
from django.db import DatabaseError, connection
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["account_login", "admin:index", "api_docs"])
def test_every_answer_has_a_strict_policy(client: Client, address: str) -> None:
    answer = client.get(reverse(address), follow=True)

    policy = dict(
        directive.strip().split(" ", 1)
        for directive in answer["Content-Security-Policy"].split(";")
        if directive.strip()
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]
    assert float(answer["Server-Timing"].removeprefix("app;dur=")) > 0


@pytest.mark.django_db
def test_nobody_signs_up(client: Client) -> None:
    answer = client.get(reverse("account_signup"), follow=True)

    assert b'name="password1"' not in answer.content


def test_live_asks_nothing_of_the_database(client: Client) -> None:
    answer = client.get("/health/live")  # pytest-django would forbid a query here

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_ready_says_whether_the_database_answers(client: Client) -> None:
    assert client.get("/health/ready").status_code == 200

    def gone(*_: object) -> None:
        raise DatabaseError

    with connection.execute_wrapper(gone):
        answer = client.get("/health/ready")

    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


def test_a_balancer_asks_by_address_and_without_tls(client: Client, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["console.example.com"]
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/health/live", headers={"host": "10.1.2.3:8000"}).status_code == 200
    assert client.get("/", headers={"host": "10.1.2.3:8000"}).status_code == 400


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("FIELD_KEYS", ["k1:c2hvcnQ="], "qa.E001"),
        ("FIELD_KEYS", [], "qa.E001"),
        ("DELIVERY_KEY", b"short", "qa.E002"),
        ("EGRESS_ALLOW", ["10.0.0.0/33"], "qa.E003"),
    ],
)
def test_a_setting_that_would_fail_later_is_said_at_start(
    settings: Settings, setting: str, value: object, code: str
) -> None:
    setattr(settings, setting, value)

    assert code in [problem.id for problem in run_checks(tags=["security"])]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "says"),
    [("en", "Check both, or set a new password below."), ("zh-hans", "邮箱与密码不匹配。")],
)
def test_a_wrong_log_in_says_what_to_do(client: Client, language: str, says: str) -> None:
    answer = client.post(
        reverse("account_login"),
        {"login": "nobody@example.com", "password": "not this one"},
        headers={"accept-language": language},
    )

    assert says in answer.content.decode()
