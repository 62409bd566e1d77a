"""The commands that grant webhooks and change their state."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.webhooks.factories import make_administrator, make_member, make_webhook, make_workspace
from webhooks import grants
from webhooks.choices import WebhookState
from webhooks.models import MemberGrant, Webhook
from workspaces.choices import Preset, Via
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def webhook() -> Webhook:
    return make_webhook(make_workspace(), name="CRM coupons")


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_a_grant_by_command_mends_the_role_permission_too(webhook: Webhook) -> None:
    slug = webhook.workspace.slug
    analyst = make_member(webhook.workspace, Preset.ANALYST, email="li@acme.example")

    told = run(
        "grant_webhook", "crm coupons", "--workspace", slug, "--member", "li@acme.example",
        "--mend", "marketer", "--reason", "Autumn",
    )  # fmt: skip

    assert "given to" in told
    assert grants.gate(analyst, webhook).open
    assert MemberGrant.objects.get().reason == "Autumn"
    assert AuditEntry.objects.get(action="webhook.usage_granted").via == Via.COMMAND


def test_who_still_lacks_the_role_permission_is_named(webhook: Webhook) -> None:
    make_member(webhook.workspace, Preset.ANALYST, email="li@acme.example", name="Li Mei")

    told = run(
        "grant_webhook", "CRM coupons", "--workspace", webhook.workspace.slug,
        "--member", "li@acme.example",
    )  # fmt: skip

    assert "They still lack the role permission: Li Mei" in told


def test_a_dry_run_changes_nothing(webhook: Webhook) -> None:
    make_member(webhook.workspace, email="li@acme.example")

    run(
        "grant_webhook", "CRM coupons", "--workspace", webhook.workspace.slug,
        "--member", "li@acme.example", "--dry-run",
    )  # fmt: skip

    assert not MemberGrant.objects.exists()
    assert not AuditEntry.objects.filter(action="webhook.usage_granted").exists()


def test_a_grant_is_ended_by_command(webhook: Webhook) -> None:
    slug = webhook.workspace.slug
    marketer = make_member(webhook.workspace, email="li@acme.example")
    run("grant_webhook", "CRM coupons", "--workspace", slug, "--member", "li@acme.example")

    run("grant_webhook", "CRM coupons", "--workspace", slug, "--member", "li@acme.example", "--end")

    assert not grants.gate(marketer, webhook).open
    with pytest.raises(CommandError, match="No live usage permission"):
        run(
            "grant_webhook", "CRM coupons", "--workspace", slug,
            "--member", "li@acme.example", "--end",
        )  # fmt: skip


def test_as_a_member_the_command_has_the_members_rights(webhook: Webhook) -> None:
    slug = webhook.workspace.slug
    make_member(webhook.workspace, Preset.DEVELOPER, email="dev@acme.example")

    with pytest.raises(CommandError, match=r"dev@acme\.example may not do this"):
        run(
            "grant_webhook", "CRM coupons", "--workspace", slug,
            "--role", "marketer", "--as", "dev@acme.example",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Nothing", "--role", "marketer"), "has no webhook “Nothing”. There are: CRM coupons."),
        (("CRM coupons", "--role", "boss"), "has no role “boss”"),
        (("CRM coupons", "--group", "all"), "has no member group “all”"),
        (("CRM coupons", "--member", "x@y.z"), "x@y.z is not a member"),
        (("CRM coupons",), "Choose at least one workspace member"),
        (("CRM coupons", "--role", "marketer", "--until", "soon"), "“soon” is no time"),
    ],
)
def test_mistakes_get_a_sentence(
    webhook: Webhook, arguments: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        run("grant_webhook", *arguments, "--workspace", webhook.workspace.slug)


def test_the_state_is_changed_and_listed(webhook: Webhook) -> None:
    make_administrator(webhook.workspace, email="boss@acme.example")
    place = ("--workspace", webhook.workspace.slug)

    run("webhook", "pause", "CRM coupons", *place, "--as", "boss@acme.example")
    (row,) = json.loads(run("webhook", "list", *place, "--json"))

    assert (row["name"], row["state"]) == ("CRM coupons", WebhookState.PAUSED)
    assert AuditEntry.objects.get(action="webhook.paused").actor_label.endswith(
        "<boss@acme.example>"
    )
    assert "is active" in run("webhook", "resume", "CRM coupons", *place)
    assert "already" in run("webhook", "resume", "CRM coupons", *place)
