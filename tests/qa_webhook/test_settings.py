"""The settings of an installation on servers."""

import base64
import os
import subprocess
import sys

import pytest
import yaml

from qa_webhook import local

KEY = base64.b64encode(bytes(32)).decode()
SERVERS = {
    "DATABASE_URL": "postgresql://qa_app:p%40ss@db.example.com:5433/qa",
    "DATABASE_OWNER_URL": "postgresql://qa_owner@db.example.com/qa",
    "CELERY_BROKER_URL": "amqp://mq.example.com",
    "SECRET_KEY": "0123456789" * 6,
    "FIELD_KEYS": f"k2:{KEY},k1:{KEY}",
    "DELIVERY_KEY": KEY,
    "SITE_URL": "https://console.example.com/",
    "ENV_FILE": os.devnull,
}


def _value(expression: str, **environment: str) -> str:
    """Read the settings in a process of its own; the value, or the last line of the error."""
    answer = subprocess.run(
        [sys.executable, "-c", f"from qa_webhook import settings as s; print(({expression}))"],
        env={"PATH": os.environ["PATH"], "LOCAL_DIR": "/nonexistent", **environment},
        cwd=local.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    return (answer.stdout or answer.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("s.DATABASES['default']['USER']", "qa_app"),
        ("s.DATABASES['default']['PASSWORD']", "p@ss"),
        ("s.DATABASES['default']['PORT']", "5433"),
        ("s.DATABASE_ROLES['owner']['USER']", "qa_owner"),
        ("s.CELERY_BROKER_URL", "amqp://mq.example.com"),
        ("s.ALLOWED_HOSTS", "['console.example.com']"),
        ("s.SITE_URL", "https://console.example.com"),
        ("s.SESSION_COOKIE_NAME, s.SESSION_COOKIE_SECURE", "('__Host-session', True)"),
        ("s.SECURE_SSL_REDIRECT, s.SECURE_HSTS_SECONDS", "(True, 31536000)"),
        ("len(s.FIELD_KEYS), len(s.DELIVERY_KEY)", "(2, 32)"),
        ("s.EGRESS_ALLOW", "[]"),
        ("s.DEBUG", "False"),
    ],
)
def test_servers_come_from_the_environment(expression: str, expected: str) -> None:
    assert _value(expression, **SERVERS) == expected


@pytest.mark.parametrize("secret", ["SECRET_KEY", "FIELD_KEYS", "DELIVERY_KEY"])
def test_no_secret_is_made_up_for_a_server(secret: str) -> None:
    environment = {name: value for name, value in SERVERS.items() if name != secret}

    answer = _value("s.SECRET_KEY", **environment)

    assert answer.endswith(f"Set {secret}: with DATABASE_URL set, no secret is generated.")


def test_the_owner_is_asked_for_by_role() -> None:
    assert _value("s.DATABASES['default']['USER']", DATABASE_ROLE="owner", **SERVERS) == "qa_owner"


def test_embedded_only_the_demos_receiver_is_let_through() -> None:
    environment = {"ENV_FILE": os.devnull, "RECEIVER_PORT": "8123"}

    assert _value("s.EGRESS_ALLOW", **environment) == "['127.0.0.1/32:8123']"


def test_compose_names_only_variables_that_are_read() -> None:
    compose = yaml.safe_load((local.BASE_DIR / "compose.yaml").read_text())
    example = (local.BASE_DIR / ".env.example").read_text()
    source = (local.BASE_DIR / "qa_webhook" / "settings.py").read_text()

    for name in compose["services"]["migrate"]["environment"]:
        assert f'"{name}"' in source
    for name in ("SECRET_KEY", "FIELD_KEYS", "DELIVERY_KEY", "EGRESS_ALLOW", "SITE_URL"):
        assert f"#{name}=" in example
    assert {"web", "planner", "sender", "worker", "scheduler", "receiver"} <= set(
        compose["services"]
    )
