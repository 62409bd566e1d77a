"""Webhook management through the admin: registering, editing, keys, grants, tests, tenants."""

import importlib
import re
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from pytest_httpserver import HTTPServer

from identity.models import IdType
from tests.webhooks.factories import (
    NOW,
    make_administrator,
    make_choice_list,
    make_member,
    make_use,
    make_webhook,
    make_workspace,
    membership_of,
    random_token,
    role_of,
)
from webhooks import granting, keys, own_headers, signing
from webhooks.choices import BreakerState, ParameterType, SecretKind, WebhookState
from webhooks.granting import Grantees
from webhooks.models import Attempt, MemberGrant, TestSend, Webhook, WebhookControl
from webhooks.secrets import SecretError
from workspaces.choices import Preset
from workspaces.models import AuditEntry, User, Workspace

pytestmark = pytest.mark.django_db

ADD = "/admin/webhooks/webhook/add/"


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


@pytest.fixture
def administrator(workspace: Workspace) -> User:
    return make_administrator(workspace, name="Administrator")


@pytest.fixture
def console(client: Client, administrator: User) -> Client:
    client.force_login(administrator)
    return client


def typed(workspace: Workspace, *parameters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What a filled form sends."""
    mobile = IdType.objects.get(workspace=workspace, code="MOBILE")
    data = {
        "name": "CRM coupons",
        "url": "https://crm.example.com/marketing",
        "authentication": "key",
        "headers": "",
        "id_types": [mobile.pk],
        "content_template": "",
        "batch_size": 1,
        "rate_per_second": "",
        "concurrency": 50,
        "timeout_seconds": 10,
        "expiry_hours": 24,
        "guarantee": "at_least_once",
        "answers_409": "on",
        "success_field": "",
        "success_value": "",
        "receipt_days": 7,
        "receipt_codes": "",
        "parameters-TOTAL_FORMS": len(parameters),
        "parameters-INITIAL_FORMS": sum("id" in parameter for parameter in parameters),
        "parameters-MIN_NUM_FORMS": 0,
        "parameters-MAX_NUM_FORMS": 50,
    }
    for number, parameter in enumerate(parameters):
        row = {"type": "text", "required": "on", "order": number, **parameter}
        data |= {f"parameters-{number}-{field}": value for field, value in row.items()}
    return {**data, **fields}


def page_of(webhook: Webhook) -> str:
    return reverse("admin:webhooks_webhook_change", args=[webhook.pk])


def existing(webhook: Webhook, **fields: Any) -> dict[str, Any]:
    """The row of the webhook's only parameter as its form sends it back."""
    parameter = webhook.parameters.get()
    return {"id": parameter.pk, "webhook": webhook.pk, "name": parameter.name, **fields}


def errors_of(response: Any) -> str:
    return " ".join(re.findall(r'class="webhook-error"[^>]*>([^<]*)<', response.content.decode()))


def test_a_registered_webhook_shows_its_key_once(console: Client, workspace: Workspace) -> None:
    response = console.post(ADD, typed(workspace, {"name": "content"}, _test="1"))

    webhook = Webhook.objects.get()
    secret = webhook.secrets.get(kind=SecretKind.SIGNING)
    assert response.status_code == 302
    page = console.get(response["Location"])
    (clear,) = keys.signing_secrets(webhook, now=NOW)
    assert clear in page.content.decode()
    assert "no-store" in page["Cache-Control"]

    stored = console.post(response["Location"])

    assert stored["Location"] == page_of(webhook) + "?test=1"
    assert console.get(response["Location"]).status_code == 404
    secret.refresh_from_db()
    assert secret.stored_at is not None
    assert clear not in console.get(page_of(webhook)).content.decode()
    assert (webhook.revision, webhook.created_by) == (1, User.objects.get(name="Administrator"))


def test_the_receipt_key_is_shown_after_the_signing_key(
    console: Client, workspace: Workspace
) -> None:
    fields = {"receipts_enabled": "on", "receipt_codes": "200: Coupon issued"}
    response = console.post(ADD, typed(workspace, **fields))
    webhook = Webhook.objects.get()
    first, second = webhook.secrets.order_by("pk")
    assert (first.kind, second.kind) == (SecretKind.SIGNING, SecretKind.RECEIPT)

    stored = console.post(response["Location"])

    assert stored["Location"] == reverse("admin:webhooks_webhook_key", args=[webhook.pk, second.pk])
    assert keys.reveal(second) in console.get(stored["Location"]).content.decode()
    assert console.post(stored["Location"])["Location"] == page_of(webhook)


def test_another_administrator_does_not_see_the_key(console: Client, workspace: Workspace) -> None:
    response = console.post(ADD, typed(workspace))
    other = Client()
    other.force_login(make_administrator(workspace))

    assert other.get(response["Location"]).status_code == 404


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": "http://10.0.0.5/x"}, "is an internal address"),
        ({"url": "file:///etc/passwd"}, "cannot be called"),
        ({"url": "https://me:secret@crm.example.com/"}, "user name or a password"),
        ({"url": "https://169.254.169.254/latest"}, "is an internal address"),
        ({"headers": "Host: evil"}, "is set by the console itself"),
        ({"headers": "no colon"}, "Line 1 is not a “Name: value” pair."),
        ({"id_types": []}, "Choose at least one ID type."),
        ({"success_field": "ok"}, "Begin the success field with “/”"),
        ({"success_field": "/ok"}, "Enter the value that means success."),
        ({"receipts_enabled": "on"}, "Enter at least one code"),
        ({"content_template": "Hello {nobody}"}, "names “{nobody}”, which is no parameter"),
    ],
)
def test_bad_input_gets_a_sentence_and_nothing_is_lost(
    console: Client, workspace: Workspace, fields: dict[str, Any], sentence: str
) -> None:
    response = console.post(ADD, typed(workspace, {"name": "content"}, **fields))

    assert response.status_code == 200
    assert sentence in errors_of(response).replace("&quot;", '"')
    assert 'value="CRM coupons"' in response.content.decode()
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ([{"name": "a{b"}], "letters, digits, spaces"),
        ([{"name": "x" * 65}], "at most 64 characters"),
        ([{"name": "é"}, {"name": " e\u0301 "}], "two parameters of this name"),
        ([{"name": "n", "type": "numeric", "minimum": "5", "maximum": "1"}], "below the minimum"),
        ([{"name": "c", "type": "choice"}], "Choose the list"),
        ([{"name": "d", "type": "date", "date_format": "hello"}], "is not a date format"),
        (
            [{"name": "n", "type": "numeric", "is_constant": "on", "constant_value": "many"}],
            "Enter a number.",
        ),
        (
            [{"name": "t", "is_constant": "on", "constant_value": "Dear ${name}"}],
            "A constant has no variables.",
        ),
    ],
)
def test_bad_parameters_are_named(
    console: Client, workspace: Workspace, parameters: list[dict[str, Any]], sentence: str
) -> None:
    response = console.post(ADD, typed(workspace, *parameters))

    assert sentence in errors_of(response)
    assert not Webhook.objects.exists()


def test_a_name_that_another_webhook_has_is_refused_at_its_field(
    console: Client, workspace: Workspace
) -> None:
    make_webhook(workspace, name="CRM coupons")

    response = console.post(ADD, typed(workspace, name=" CRM  coupons "))

    assert "Another webhook has this name." in errors_of(response)


def test_fifty_one_parameters_are_too_many(console: Client, workspace: Workspace) -> None:
    rows = [{"name": f"p{number}"} for number in range(51)]

    response = console.post(ADD, typed(workspace, *rows))

    assert "at most 50" in response.content.decode()
    assert not Webhook.objects.exists()


def test_names_of_any_script_and_the_seeds_own_are_kept(
    console: Client, workspace: Workspace
) -> None:
    console.post(ADD, typed(workspace, {"name": "parameter 1 character"}, {"name": "优惠码"}))

    (revision,) = Webhook.objects.get().revisions.all()
    assert [each["name"] for each in revision.parameters] == ["parameter 1 character", "优惠码"]


def test_a_removed_new_card_is_not_saved(console: Client, workspace: Workspace) -> None:
    removed = {"name": "", "DELETE": "on"}

    console.post(ADD, typed(workspace, removed, {"name": "content"}))

    assert [each.name for each in Webhook.objects.get().parameters.all()] == ["content"]


def test_a_change_that_affects_journeys_is_shown_before_it_is_saved(
    console: Client, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace, name="CRM coupons", parameters=[{"name": "content"}])
    make_use(webhook, live=1, journey_name="Welcome")
    data = typed(workspace, existing(webhook), {"name": "coupon"})

    asked = console.post(page_of(webhook), data)

    text = asked.content.decode()
    assert "Affects 1 journey, 0 people waiting" in text
    assert "New required parameters: coupon." in text
    assert "Update available" in text
    assert 'value="coupon"' in text
    assert webhook.parameters.count() == 1
    (confirmed,) = re.findall(r'name="_confirmed" value="([^"]*)"', text)

    saved = console.post(page_of(webhook), {**data, "_confirmed": confirmed})

    assert saved.status_code == 302
    webhook.refresh_from_db()
    assert (webhook.revision, webhook.parameters.count()) == (2, 2)


def test_a_confirmation_of_another_change_does_not_count(
    console: Client, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace, name="CRM coupons", parameters=[{"name": "content"}])
    make_use(webhook, live=1)
    data = typed(workspace, existing(webhook), {"name": "coupon"}, _confirmed="something else")

    response = console.post(page_of(webhook), data)

    assert response.status_code == 200
    assert webhook.parameters.count() == 1


def test_a_change_that_acts_at_once_asks_nothing(console: Client, workspace: Workspace) -> None:
    webhook = make_webhook(workspace, name="CRM coupons", parameters=[{"name": "content"}])
    make_use(webhook, live=1)
    data = typed(workspace, existing(webhook), url="https://new.example.com/marketing")

    response = console.post(page_of(webhook), data)

    assert response.status_code == 302
    webhook.refresh_from_db()
    assert (webhook.url, webhook.revision) == ("https://new.example.com/marketing", 1)
    entry = AuditEntry.objects.get(action="webhook.changed")
    assert entry.changes["url"] == [
        "https://crm.example.com/marketing",
        "https://new.example.com/marketing",
    ]


def test_header_values_are_stored_encrypted_and_never_shown(
    console: Client, workspace: Workspace
) -> None:
    own = "X-Tenant: cn-1\nAuthorization: Bearer s3cret"
    response = console.post(ADD, typed(workspace, headers=own))
    webhook = Webhook.objects.get()
    console.post(response["Location"])

    page = console.get(page_of(webhook)).content.decode()
    typed_again = typed(workspace, headers="X-Tenant: ••••\nAuthorization: Bearer s3cret")
    drawn = console.post(
        reverse("admin:webhooks_webhook_preview"), {**typed_again, "_webhook": webhook.pk}
    ).content.decode()

    assert "X-Tenant: ••••\nAuthorization: ••••</textarea>" in page
    for shown in (page.rpartition("</textarea>")[2], drawn):
        assert "X-Tenant: ••••\nAuthorization: ••••\nwebhook-id" in shown
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(webhooks_webhook)::text FROM webhooks_webhook")
        ((row,),) = cursor.fetchall()
    entries = [str(entry.changes) for entry in AuditEntry.objects.all()]
    for text in (page, drawn, row, *entries):
        assert not re.search(r"s3cret|cn-1|QmVhcmVyIHMzY3JldA", text)
    assert own_headers.reveal(webhook) == {"Authorization": "Bearer s3cret", "X-Tenant": "cn-1"}


def test_the_page_says_how_the_webhook_does(console: Client, workspace: Workspace) -> None:
    webhook = make_webhook(workspace)
    WebhookControl.objects.filter(webhook=webhook).update(
        breaker=BreakerState.OPEN, breaker_reason="status_503", breaker_opened_at=NOW
    )
    shown = console.get(f"/admin/webhooks/webhook/{webhook.pk}/change/").content.decode()
    assert "At this moment" in shown
    assert "Nothing is saved yet" not in shown
    assert "The other system is not available at the moment (503)." in shown


def test_what_its_receiver_refused_is_not_taken_for_a_fault_of_the_form(
    console: Client, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace)
    refused = console.post(page_of(webhook), typed(workspace, name="")).content.decode()
    assert "Nothing is saved yet. Correct what is marked below, then save again." in refused

    Attempt.objects.create(
        day=timezone.now().date(),
        webhook_id=webhook.pk,
        delivery_id="dlv_1",
        message_id="msg_1",
        number=2,
        kind="auto",
        at=timezone.now(),
        outcome="answered",
        status_code=503,
        answer="",
    )
    shown = console.get(page_of(webhook)).content.decode()
    assert "The other system is not available at the moment (503)." in shown
    assert "Nothing is saved yet" not in shown


def test_a_masked_header_keeps_its_value(console: Client, workspace: Workspace) -> None:
    webhook = make_webhook(
        workspace, name="CRM coupons", headers={"Authorization": "Bearer s3cret", "X-Old": "1"}
    )
    before = webhook.headers

    console.post(page_of(webhook), typed(workspace, headers="Authorization: ••••\nX-Old: ••••"))
    webhook.refresh_from_db()
    assert webhook.headers == before
    assert not AuditEntry.objects.filter(action="webhook.changed").exists()

    console.post(page_of(webhook), typed(workspace, headers="X-New: 2\nAuthorization: ••••"))
    webhook.refresh_from_db()
    assert own_headers.reveal(webhook) == {"X-New": "2", "Authorization": "Bearer s3cret"}
    changes = AuditEntry.objects.get(action="webhook.changed").changes
    assert changes["headers"] == ["••••", "••••"]


def test_a_mask_under_another_name_or_in_another_row_opens_nothing(
    console: Client, workspace: Workspace
) -> None:
    webhook = make_webhook(
        workspace, name="CRM coupons", headers={"Authorization": "Bearer s3cret"}
    )

    response = console.post(page_of(webhook), typed(workspace, headers="X-Echo: ••••"))

    assert "No value is stored for “X-Echo”. Type it." in errors_of(response)
    other = make_webhook(workspace)
    other.headers = webhook.headers
    with pytest.raises(SecretError):
        own_headers.reveal(other)


def test_an_upgrade_encrypts_the_headers_that_are_there(workspace: Workspace) -> None:
    clear = {"Authorization": "Bearer s3cret", "X-Tenant": "cn-1"}
    webhook, bare = make_webhook(workspace), make_webhook(workspace)
    Webhook.objects.filter(pk=webhook.pk).update(headers=clear)

    importlib.import_module("webhooks.migrations.0007_seal_headers").seal(apps, None)

    webhook.refresh_from_db()
    bare.refresh_from_db()
    assert "s3cret" not in str(webhook.headers)
    assert own_headers.reveal(webhook) == clear
    assert bare.headers == {}


def test_a_webhook_in_use_is_not_deleted_and_says_why(
    console: Client, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace)
    make_use(webhook, journey_name="Welcome")

    page = console.get(page_of(webhook)).content.decode()
    response = console.post(
        reverse("admin:webhooks_webhook_delete", args=[webhook.pk]), {"post": "yes"}, follow=True
    )

    assert "1 journey uses it. Disable it instead." in page
    assert "Disable it instead." in response.content.decode()
    assert Webhook.objects.filter(pk=webhook.pk).exists()


def test_a_webhook_that_nothing_uses_is_deleted(console: Client, workspace: Workspace) -> None:
    webhook = make_webhook(workspace, parameters=[{"name": "content"}])

    console.post(reverse("admin:webhooks_webhook_delete", args=[webhook.pk]), {"post": "yes"})

    assert not Webhook.objects.exists()
    assert AuditEntry.objects.filter(action="webhook.deleted").count() == 1


def test_a_copy_is_disabled_and_has_a_key_of_its_own(console: Client, workspace: Workspace) -> None:
    own = {"Authorization": "Bearer s3cret"}
    webhook = make_webhook(
        workspace, name="CRM coupons", parameters=[{"name": "content"}], headers=own
    )

    response = console.post(reverse("admin:webhooks_webhook_duplicate", args=[webhook.pk]))

    copy = Webhook.objects.exclude(pk=webhook.pk).get()
    assert copy.name == "Copy of CRM coupons"
    assert copy.control.state == WebhookState.DISABLED
    assert [each.name for each in copy.parameters.all()] == ["content"]
    assert keys.signing_secrets(copy, now=NOW) != keys.signing_secrets(webhook, now=NOW)
    assert own_headers.reveal(copy) == own
    assert console.get(response["Location"]).status_code == 200

    with override_settings(FIELD_KEYS=[f"lost:{'A' * 43}="]):
        refused = console.post(
            reverse("admin:webhooks_webhook_duplicate", args=[webhook.pk]), follow=True
        )
    assert "Ask the operator to check FIELD_KEYS." in refused.content.decode()
    assert Webhook.objects.count() == 2


def test_a_changed_key_lives_beside_the_old_one_for_a_day(workspace: Workspace) -> None:
    webhook = make_webhook(workspace)
    (old,) = keys.signing_secrets(webhook, now=NOW)

    _secret, new = keys.make(webhook=webhook, kind=SecretKind.SIGNING, actor=None, now=NOW)

    assert keys.signing_secrets(webhook, now=NOW) == [new, old]
    signature = signing.Signer([new, old]).sign("msg_1", int(NOW.timestamp()), b"{}")
    assert len(signature.split()) == 2
    assert keys.signing_secrets(webhook, now=NOW + keys.GRACE) == [new]


def test_a_given_aes_key_is_stored_and_never_shown(console: Client, workspace: Workspace) -> None:
    webhook = make_webhook(workspace)
    url = reverse("admin:webhooks_webhook_key_new", args=[webhook.pk])

    wrong = console.post(url, {"kind": "aes", "given": "short"}, follow=True)
    console.post(url, {"kind": "aes", "given": "00" * 32})

    assert "This is no AES key." in wrong.content.decode()
    assert keys.aes_key(webhook, now=NOW) == bytes(32)
    assert "00" * 32 not in console.get(page_of(webhook)).content.decode()


def test_the_state_is_changed_by_its_own_buttons(console: Client, workspace: Workspace) -> None:
    webhook = make_webhook(workspace)
    url = reverse("admin:webhooks_webhook_state", args=[webhook.pk])

    console.post(url, {"state": "paused"})
    webhook.control.refresh_from_db()
    assert webhook.control.state == WebhookState.PAUSED

    console.post(page_of(webhook), typed(workspace, name=webhook.name))
    webhook.control.refresh_from_db()
    assert webhook.control.state == WebhookState.PAUSED


def test_the_preview_draws_the_unsaved_form(console: Client, workspace: Workspace) -> None:
    channels = make_choice_list(workspace, "sms", "app")
    data = typed(
        workspace,
        {"name": "content", "example": "Dear Zhang San Hello"},
        {"name": "channel", "type": "choice", "choice_list": channels.pk},
        {"name": "amount", "type": "numeric", "example": "20"},
        carry_environment="on",
        content_template="{content}!",
    )

    response = console.post(reverse("admin:webhooks_webhook_preview"), data)

    text = response.content.decode().replace("&quot;", '"')
    assert "POST /marketing HTTP/1.1" in text
    assert f"x-qa-workspace: {workspace.name}" in text
    assert '"content": "Dear Zhang San Hello"' in text
    assert '"channel": "sms"' in text
    assert '"amount": 20' in text
    assert "“Dear Zhang San Hello!”" in text


@pytest.mark.parametrize("given", ["²", "9" * 30, "9" * 5_000, "x"])
def test_the_preview_draws_whatever_stands_where_numbers_belong(
    console: Client, workspace: Workspace, given: str
) -> None:
    data = typed(workspace, {"name": "content", "example": "Hello"})
    fields = ("batch_size", "id_types", "parameters-0-order", "parameters-0-choice_list")

    for field in fields:
        response = console.post(reverse("admin:webhooks_webhook_preview"), {**data, field: given})
        assert response.status_code == 200, field
        assert "Hello" in response.content.decode(), field


def test_a_test_send_on_the_page_shows_the_verdict(
    console: Client, workspace: Workspace, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/marketing").respond_with_data("no such member", status=422)
    webhook = make_webhook(
        workspace,
        url=httpserver.url_for("/marketing"),
        parameters=[{"name": "content", "type": ParameterType.TEXT}],
    )
    url = reverse("admin:webhooks_webhook_test", args=[webhook.pk])
    data = {
        "token": random_token(),
        "id_type": webhook.id_types.get().pk,
        "typed_id": "13800000000",
        "encryption": "none",
        "value_0": "Hello",
    }

    response = console.post(url, data, headers={"x-fragment": "1"})

    text = response.content.decode()
    assert response.status_code == 200
    assert "<html" not in text
    assert "The other system refused the request (422)." in text
    assert "no such member" in text
    assert "13800000000" not in text.partition("data-verdict")[2]
    assert TestSend.objects.get().accepted is False
    # What is shown again would be another test, not a second click.
    assert str(data["token"]) not in text


def test_the_test_send_as_a_page_says_once_what_it_is_and_leads_back(
    console: Client, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace, name="CRM coupons")
    url = reverse("admin:webhooks_webhook_test", args=[webhook.pk])

    page = console.get(url).content.decode()
    main = page[page.index("<main") : page.index("</main>")]

    assert re.findall(r"<h1[^>]*>\s*([^<]*?)\s*<", page) == ["Test send · CRM coupons"]
    assert "<h2" not in main
    assert f'<a href="{page_of(webhook)}" class="button">Cancel</a>' in main
    assert '<button type="button"' not in main  # Without the script it would do nothing.


def test_an_example_with_a_variable_can_be_tested_and_drawn(
    console: Client, workspace: Workspace
) -> None:
    webhook = make_webhook(
        workspace, parameters=[{"name": "content", "example": "Dear ${name} Hello"}]
    )

    test = console.get(reverse("admin:webhooks_webhook_test", args=[webhook.pk]))

    assert "Dear name Hello" in test.content.decode()
    assert "Dear name Hello" in console.get(page_of(webhook)).content.decode()


def test_a_wrong_test_id_is_said_at_its_field(console: Client, workspace: Workspace) -> None:
    webhook = make_webhook(workspace)
    data = {
        "token": random_token(),
        "id_type": webhook.id_types.get().pk,
        "typed_id": "abc",
        "encryption": "none",
    }

    response = console.post(reverse("admin:webhooks_webhook_test", args=[webhook.pk]), data)

    assert response.status_code == 422
    assert "A mobile number has 5 to 15 digits" in errors_of(response)
    assert not TestSend.objects.exists()


def test_granting_on_the_page_mends_the_other_gate(console: Client, workspace: Workspace) -> None:
    webhook = make_webhook(workspace)
    li_mei = make_member(workspace, Preset.ANALYST, name="Li Mei")
    assert "Also needs" in console.get(page_of(webhook)).content.decode()

    response = console.post(
        reverse("admin:webhooks_webhook_grant", args=[webhook.pk]),
        {
            "members": [membership_of(li_mei, workspace).pk],
            "mends": "on",
            "mend": role_of(workspace, Preset.MARKETER).pk,
            "reason": "",
            "ends_at": "",
        },
        follow=True,
    )

    text = response.content.decode()
    assert "The role permission was added for: Li Mei." in text
    assert "Can use it." in text
    grant = MemberGrant.objects.get()
    console.post(reverse("admin:webhooks_webhook_grant_end", args=[webhook.pk, "member", grant.pk]))
    assert (
        "The usage permission for this webhook ended on"
        in console.get(page_of(webhook)).content.decode()
    )


def test_a_grant_that_fails_keeps_what_was_typed(console: Client, workspace: Workspace) -> None:
    webhook = make_webhook(workspace)

    response = console.post(
        reverse("admin:webhooks_webhook_grant", args=[webhook.pk]),
        {"reason": "For the autumn", "mends": "on"},
    )

    assert response.status_code == 422
    assert "Choose at least one workspace member, role or member group." in errors_of(response)
    assert "For the autumn" in response.content.decode()


def test_a_developer_manages_and_does_not_grant(client: Client, workspace: Workspace) -> None:
    webhook = make_webhook(workspace)
    client.force_login(make_member(workspace, Preset.DEVELOPER))

    page = client.get(page_of(webhook))
    granted = client.post(reverse("admin:webhooks_webhook_grant", args=[webhook.pk]), {})

    assert page.status_code == 200
    assert "Only an administrator of the workspace gives usage permissions." in (
        page.content.decode()
    )
    assert granted.status_code == 403


NAMES = ["change", "test", "guide", "guide_markdown", "history", "delete"]
POSTED = ["grant", "state", "duplicate", "key_new", "test_cancel"]


@pytest.mark.parametrize("name", [*NAMES, *POSTED])
def test_another_tenants_webhook_does_not_exist(
    console: Client, workspace: Workspace, name: str
) -> None:
    foreign = make_webhook(make_workspace())
    url = reverse(f"admin:webhooks_webhook_{name}", args=[foreign.pk])

    response = console.post(url) if name in POSTED else console.get(url)

    assert response.status_code == 404


@pytest.mark.parametrize("name", [*NAMES, *POSTED])
def test_a_member_without_the_point_is_refused(
    client: Client, workspace: Workspace, name: str
) -> None:
    webhook = make_webhook(workspace)
    client.force_login(make_member(workspace, Preset.MARKETER))
    url = reverse(f"admin:webhooks_webhook_{name}", args=[webhook.pk])

    response = client.post(url) if name in POSTED else client.get(url)

    assert response.status_code == 403


def test_the_list_costs_the_same_for_many_webhooks_and_leads_to_a_test_of_each(
    console: Client, workspace: Workspace, django_assert_max_num_queries: Any
) -> None:
    def count_for(number: int) -> None:
        for _each in range(number):
            make_use(make_webhook(workspace))
        with django_assert_max_num_queries(30):
            response = console.get("/admin/webhooks/webhook/")
        tests = re.findall(r'<a href="([^"]+)" data-dialog="test">', response.content.decode())
        assert sorted(tests) == sorted(
            reverse("admin:webhooks_webhook_test", args=[webhook.pk])
            for webhook in Webhook.objects.all()
        )

    count_for(2)
    count_for(12)


def test_a_row_says_state_host_last_test_journeys_and_who(
    console: Client, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace, name="CRM coupons", url="https://crm.example:8443/x")
    make_use(webhook, journey_name="Welcome")
    webhook.control.state, webhook.control.reason = WebhookState.DISABLED, "duplicate"
    webhook.control.save()

    page = console.get("/admin/webhooks/webhook/").content.decode()

    row = re.sub(r"<[^>]*>", " ", page[page.index("<tbody>") : page.index("</tbody>")])
    assert " ".join(row.split()) == (
        "CRM coupons Disabled It is a copy that nobody has enabled yet. crm.example:8443 "
        "Not tested yet Test send Welcome Administrators only"
    )


def test_the_form_has_five_groups_and_folds_the_last_two_behind_a_sentence(
    console: Client, workspace: Workspace
) -> None:
    page = console.get(ADD).content.decode()

    groups = re.findall(r'<h2 id="group-\d">(.*?)</h2>', page)
    assert groups == [
        "Where to call",
        "Who is addressed",
        "Parameters",
        "Delivery",
        "Receipts",
    ]
    folded = re.findall(r"<details>\s*<summary>(.*?)</summary>", page, re.DOTALL)
    said = [" ".join(re.sub(r"<[^>]*>", " ", each).split()) for each in folded]
    assert said[-2:] == [
        (
            "Delivery One person a request, up to 50 requests open, 10 s each, at least once, "
            "given up after 24 h. Change"
        ),
        "Receipts Not collected. Change",
    ]
    assert re.search(r'<input type="checkbox" name="id_types"', page)
    assert "Save and test" in page


def test_the_list_is_filtered_by_state_and_test(console: Client, workspace: Workspace) -> None:
    shown = make_webhook(workspace, name="Shown")
    make_webhook(workspace, name="Hidden")
    shown.control.state = WebhookState.PAUSED
    shown.control.save()
    TestSend.objects.create(
        workspace=workspace,
        webhook=shown,
        revision=1,
        sent_at=NOW,
        id_type_code="MOBILE",
        masked_id="138****0000",
        accepted=True,
        outcome="delivered",
        request_text="",
    )

    for query in ("state=paused", "tested=yes"):
        text = console.get(f"/admin/webhooks/webhook/?{query}").content.decode()
        assert "Shown" in text
        assert "Hidden" not in text


def test_the_guide_has_the_real_parameters_and_no_secret(
    console: Client, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace, parameters=[{"name": "优惠码", "help_text": "Of the coupon"}])
    (clear,) = keys.signing_secrets(webhook, now=NOW)

    page = console.get(reverse("admin:webhooks_webhook_guide", args=[webhook.pk]))
    markdown = console.get(reverse("admin:webhooks_webhook_guide_markdown", args=[webhook.pk]))

    for text in (page.content.decode(), markdown.content.decode()):
        assert "优惠码" in text
        assert "Of the coupon" in text
        assert clear not in text
    assert markdown["Content-Disposition"].startswith("attachment")


def test_addresses_stand_beside_names_for_who_may_see_the_members(
    workspace: Workspace, console: Client
) -> None:
    webhook = make_webhook(workspace)
    namesakes = [
        make_member(workspace, name="Li Mei", email=address)
        for address in ("mei@example.com", "li@example.com")
    ]
    members = [membership_of(each, workspace) for each in namesakes]
    granting.grant(webhook=webhook, grantees=Grantees(members=members), actor=None, now=NOW)
    developer = Client()
    developer.force_login(make_member(workspace, Preset.DEVELOPER))
    address = reverse("admin:webhooks_webhook_change", args=[webhook.pk])

    seen = console.get(address).content.decode()
    hidden = developer.get(address).content.decode()

    for each in namesakes:
        assert f'Li Mei<span class="meta">{each.email}</span>' in seen
        assert f"Li Mei ({each.email})" in seen
        assert each.email not in hidden
    assert hidden.count("Li Mei") >= len(namesakes)
    assert ">Own<" in seen
