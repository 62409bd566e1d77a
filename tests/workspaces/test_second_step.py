"""The second step of the log-in, from turning it on to losing the phone."""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from tests.factories import PASSWORD, make_member, make_operator, make_workspace
from tests.reading import heading, told
from workspaces.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    cache.clear()


def log_in(user: User) -> tuple[Client, str]:
    client = Client()
    answer = client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client, answer.headers["Location"]


def code_for(secret: str) -> str:
    return str(
        totp.format_hotp_value(totp.hotp_value(secret, next(totp.yield_hotp_counters_from_time())))
    )


def turn_on(client: Client) -> str:
    """Confirm the password, scan, type the code; return the secret."""
    activate = "/accounts/2fa/totp/activate/"
    asked = client.get(activate)
    client.post(asked.headers["Location"], {"password": PASSWORD, "next": activate})
    form = client.get(activate)
    secret = str(form.context["form"].secret)
    assert form.context["totp_svg_data_uri"].startswith("data:image/svg+xml")
    client.post(activate, {"code": code_for(secret)})
    return secret


def test_after_turning_it_on_the_password_alone_does_not_log_in() -> None:
    user = make_member(make_workspace())
    client, _where = log_in(user)
    secret = turn_on(client)
    assert Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists()
    cache.clear()

    other, where = log_in(user)

    assert where == "/accounts/2fa/authenticate/"
    assert other.get("/settings/").status_code == 302
    assert other.get(where).status_code == 200
    other.post(where, {"code": code_for(secret)})
    assert other.get("/settings/").status_code == 200


def test_a_recovery_code_logs_in_once() -> None:
    user = make_member(make_workspace())
    client, _where = log_in(user)
    turn_on(client)
    listed = client.get("/accounts/2fa/recovery-codes/").content.decode()
    code = re.findall(r"\b[0-9a-f]{8}\b", listed)[0]
    cache.clear()

    first, where = log_in(user)
    first.post(where, {"code": code})
    second, where = log_in(user)
    second.post(where, {"code": code})

    assert first.get("/settings/").status_code == 200
    assert second.get("/settings/").status_code == 302


def test_an_operator_sees_that_somebody_has_a_second_step_and_not_its_secret() -> None:
    client, _where = log_in(make_member(make_workspace()))
    turn_on(client)
    operator = Client()
    operator.force_login(make_operator())

    kinds = {"totp": "Authenticator app", "recovery_codes": "Recovery codes"}
    for step in Authenticator.objects.all():
        page = operator.get(f"/admin/mfa/authenticator/{step.pk}/change/").content.decode()
        assert kinds[step.type] in page
        for name in ("secret", "seed"):
            assert f"{name}&quot;" not in page
            assert step.data.get(name, "nothing of this kind") not in page


def test_the_operators_list_of_second_steps_is_chinese_and_asks_for_no_migration() -> None:
    client, _where = log_in(make_member(make_workspace(), name="李梅"))
    turn_on(client)
    operator = make_operator()
    operator.language = "zh-hans"
    operator.save()
    reader = Client()
    reader.force_login(operator)
    one = Authenticator.objects.get(type=Authenticator.Type.TOTP)

    listed = reader.get("/admin/mfa/authenticator/").content.decode()
    page = reader.get(f"/admin/mfa/authenticator/{one.pk}/change/").content.decode()

    assert heading(listed) == "两步验证方式"
    for said in ("账号", "类别", "添加时间", "最近使用时间", "身份验证器应用", "恢复码"):
        assert said in told(listed), said
    for said in ("Authenticator", "Created", "Last used", "User", "TOTP", "WebAuthn"):
        assert said not in told(listed) + told(page), said
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_each_card_of_the_second_step_leads_back_to_the_settings() -> None:
    client, _where = log_in(make_member(make_workspace()))
    turn_on(client)

    for card in ("totp/deactivate", "recovery-codes/generate", "recovery-codes"):
        text = client.get(f"/accounts/2fa/{card}/").content.decode()
        assert '<a href="/settings/">Back to your settings</a>' in text


@pytest.mark.parametrize("card", ["/accounts/signup/", "/accounts/inactive/"])
def test_who_has_no_account_finds_the_way_back_to_the_log_in(client: Client, card: str) -> None:
    text = client.get(card).content.decode()

    assert '<a href="/accounts/login/">Back to the log-in</a>' in text


def test_it_is_turned_off_again() -> None:
    user = make_member(make_workspace())
    client, _where = log_in(user)
    turn_on(client)
    assert "On:" in client.get("/accounts/2fa/").content.decode()
    assert client.get("/accounts/2fa/recovery-codes/generate/").status_code == 200
    assert client.get("/accounts/2fa/totp/deactivate/").status_code == 200

    client.post("/accounts/2fa/totp/deactivate/")

    assert "Off:" in client.get("/accounts/2fa/").content.decode()


def test_a_password_is_changed_with_the_old_one() -> None:
    user = make_member(make_workspace())
    client, _where = log_in(user)
    new = "another good password"
    fields = {"oldpassword": "wrong", "password1": new, "password2": new}

    client.post("/accounts/password/change/", fields)
    assert User.objects.get(pk=user.pk).check_password(PASSWORD)
    client.post("/accounts/password/change/", {**fields, "oldpassword": PASSWORD})

    assert User.objects.get(pk=user.pk).check_password(new)


def test_without_mail_a_forgotten_password_leads_to_the_operator(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

    page = Client().get("/accounts/password/reset/").content.decode()

    assert "add_member --link" in page
    assert 'name="email"' not in page
