"""The settings of an installation on servers."""

import base64
import json
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


def _run(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Read the settings in a process of its own, with this environment and no other."""
    return subprocess.run(
        [sys.executable, "-c", f"from qa_webhook import settings as s; {code}"],
        env={"PATH": os.environ["PATH"], "LOCAL_DIR": "/nonexistent", **environment},
        cwd=local.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


def test_servers_come_from_the_environment() -> None:
    names = [
        "DATABASES",
        "DATABASE_ROLES",
        "CELERY_BROKER_URL",
        "ALLOWED_HOSTS",
        "SITE_URL",
        "SESSION_COOKIE_NAME",
        "SESSION_COOKIE_SECURE",
        "SECURE_SSL_REDIRECT",
        "SECURE_HSTS_SECONDS",
        "EGRESS_ALLOW",
        "DEBUG",
        "FIELD_KEYS",
    ]
    code = f"import json; print(json.dumps({{n: getattr(s, n) for n in {names}}}))"

    settings = json.loads(_run(code, **SERVERS).stdout)

    database = settings.pop("DATABASES")["default"]
    roles = settings.pop("DATABASE_ROLES")
    assert [database[part] for part in ("HOST", "PORT", "NAME", "USER", "PASSWORD")] == [
        "db.example.com",
        5433,
        "qa",
        "qa_app",
        "p@ss",
    ]
    assert roles["owner"]["USER"] == "qa_owner"
    assert settings == {
        "CELERY_BROKER_URL": "amqp://mq.example.com",
        "ALLOWED_HOSTS": ["console.example.com"],
        "SITE_URL": "https://console.example.com",
        "SESSION_COOKIE_NAME": "__Host-session",
        "SESSION_COOKIE_SECURE": True,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 31_536_000,
        "EGRESS_ALLOW": [],
        "DEBUG": False,
        "FIELD_KEYS": [f"k2:{KEY}", f"k1:{KEY}"],
    }


@pytest.mark.parametrize("secret", ["SECRET_KEY", "FIELD_KEYS", "DELIVERY_KEY"])
def test_no_secret_is_made_up_for_a_server(secret: str) -> None:
    environment = {name: value for name, value in SERVERS.items() if name != secret}

    answer = _run("", **environment)

    assert f"Set {secret}: with DATABASE_URL set, no secret is generated." in answer.stderr


def test_the_owner_is_asked_for_by_role() -> None:
    answer = _run("print(s.DATABASES['default']['USER'])", DATABASE_ROLE="owner", **SERVERS)

    assert answer.stdout == "qa_owner\n"


def test_embedded_only_the_demos_receiver_is_let_through() -> None:
    answer = _run("print(s.EGRESS_ALLOW)", ENV_FILE=os.devnull, RECEIVER_PORT="8123")

    assert answer.stdout == "['127.0.0.1/32:8123']\n"


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
