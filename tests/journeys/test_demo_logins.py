"""The demo's log-ins: a public password on this machine alone, and an end with the real work."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from journeys.demo import tenant
from qa_webhook import local
from qa_webhook.management.commands.run import demo_command
from tests.factories import make_workspace
from workspaces import demo_logins
from workspaces.models import AuditEntry, User

pytestmark = pytest.mark.django_db


def call(*arguments: Any) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def log_in(email: str, password: str) -> bool:
    return Client().login(email=email, password=password)


def test_the_demo_stays_out_of_a_real_installation() -> None:
    make_workspace()

    with pytest.raises(CommandError, match="of its own"):
        call_command("load_demo")

    assert not User.objects.filter(email__endswith="@demo.example").exists()


def test_a_real_installation_ends_the_demos_log_ins(client: Client) -> None:
    made = tenant.make(password=tenant.PUBLIC_PASSWORD)
    emails = [user.email for _role, user in made.logins]
    assert all(log_in(email, tenant.PUBLIC_PASSWORD) for email in emails)
    client.force_login(made.operator)

    said = call("setup", "--organization=Acme", "--workspace=Acme", "--email=li@acme.example")

    assert all(email in said for email in emails)
    assert "are deactivated" in said
    assert not any(log_in(email, tenant.PUBLIC_PASSWORD) for email in emails)
    assert client.get("/").url.startswith("/accounts/login/")  # type: ignore[attr-defined] # a redirect
    assert not any(
        user.is_active or user.has_usable_password() for user in demo_logins.all_of_them()
    )
    entries = AuditEntry.objects.filter(action="user.deactivated")
    assert sorted(entry.object_label for entry in entries) == ["Li Mei", "Operator", "Wang Lei"]
    with pytest.raises(CommandError, match="of its own"):
        call_command("load_demo")
    assert not any(log_in(email, tenant.PUBLIC_PASSWORD) for email in emails)


def test_another_organization_ends_the_demos_log_ins() -> None:
    tenant.make(password=tenant.PUBLIC_PASSWORD)

    assert "are deactivated" in call("create_organization", "Acme")

    assert not log_in("operator@demo.example", tenant.PUBLIC_PASSWORD)


def test_an_installation_without_the_demo_says_nothing_of_it() -> None:
    assert "demo" not in call("create_organization", "Acme")


@pytest.mark.parametrize(
    ("embedded", "site_url", "own", "public"),
    [
        (True, "http://127.0.0.1:8000", False, True),
        (True, "http://localhost:8000", False, True),
        (True, "http://[::1]:8000", False, True),
        (True, "http://127.0.0.1:8000", True, False),
        (True, "http://192.168.7.12:8000", False, False),
        (True, "https://console.example.com", False, False),
        (False, "http://127.0.0.1:8000", False, False),
    ],
)
def test_only_a_console_of_this_machine_alone_has_the_public_password(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    embedded: bool,
    site_url: str,
    own: bool,
    public: bool,
) -> None:
    settings.EMBEDDED, settings.SITE_URL = embedded, site_url
    monkeypatch.setattr(local, "DIRECTORY", tmp_path)
    tenant.make(password=tenant.PUBLIC_PASSWORD)

    password = tenant.password(own=own)
    made = tenant.make(password=password)

    kept = tmp_path / "demo-password"
    assert (password == tenant.PUBLIC_PASSWORD) is public
    assert kept.exists() is not public
    for _role, user in made.logins:
        assert log_in(user.email, password)
        assert log_in(user.email, tenant.PUBLIC_PASSWORD) is public
    if not public:
        assert kept.stat().st_mode & 0o777 == 0o600
        assert tenant.password(own=own) == password


@pytest.mark.parametrize(
    ("bind", "own"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("", True)],
)
def test_a_run_that_listens_to_others_asks_for_an_own_password(bind: str, own: bool) -> None:
    assert ("--own-password" in demo_command(bind)) is own
