"""A new first key of FIELD_KEYS: every secret is brought under it, and stays readable."""

import json
from base64 import b64encode
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.utils import timezone

from tests.webhooks.factories import make_webhook, make_workspace
from webhooks import keys, own_headers, rotation
from webhooks.choices import SecretKind
from webhooks.models import Webhook, WebhookSecret
from workspaces.choices import Via
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db

NEW = f"new:{b64encode(bytes(range(32))).decode()}"


def call(*arguments: str, ends_with: int = 0) -> dict[str, Any]:
    out, code = StringIO(), 0
    try:
        call_command("rotate_keys", "--json", *arguments, stdout=out, stderr=out)
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == ends_with
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_every_secret_comes_under_the_first_key_and_stays_readable(settings: Any) -> None:
    webhook = make_webhook(make_workspace())
    secret, clear = keys.make(
        webhook=webhook, kind=SecretKind.SIGNING, actor=None, now=timezone.now()
    )
    webhook.headers = own_headers.seal(webhook, {"X-Key": "one", "X-Other": "two"})
    webhook.save()
    stood = WebhookSecret.objects.count() + 2
    settings.FIELD_KEYS = [NEW, *django_settings.FIELD_KEYS]

    assert call("--dry-run")["rotated"] == 0
    assert rotation.survey().old == stood
    assert not AuditEntry.objects.filter(action="webhooksecret.rotated").exists()
    assert call()["rotated"] == stood
    assert call()["rotated"] == 0
    entry = AuditEntry.objects.get(action="webhooksecret.rotated")
    assert (entry.via, entry.actor) == (Via.COMMAND, None)
    assert entry.changes == {"number": [0, stood], "key": ["", "new"]}

    settings.FIELD_KEYS = [NEW]  # The old one can go.
    assert rotation.survey().by_key == {"new": stood}
    assert keys.reveal(WebhookSecret.objects.get(pk=secret.pk)) == clear
    assert own_headers.reveal(Webhook.objects.get()) == {"X-Key": "one", "X-Other": "two"}


def test_who_stops_half_way_leaves_an_entry_of_what_was_done(settings: Any) -> None:
    webhook = make_webhook(make_workspace())
    for _each in range(2):
        keys.make(webhook=webhook, kind=SecretKind.SIGNING, actor=None, now=timezone.now())
    settings.FIELD_KEYS = [NEW, *django_settings.FIELD_KEYS]

    def stop(looked: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotation.rotate(on_row=stop)

    entry = AuditEntry.objects.get(action="webhooksecret.rotated")
    assert entry.changes["number"] == [0, 1]


def test_a_secret_that_cannot_be_read_is_named_and_nothing_is_changed(settings: Any) -> None:
    webhook = make_webhook(make_workspace())
    keys.make(webhook=webhook, kind=SecretKind.SIGNING, actor=None, now=timezone.now())
    before = list(WebhookSecret.objects.values_list("ciphertext", flat=True))
    settings.FIELD_KEYS = [NEW]

    (sentence, *_rest) = call(ends_with=1)["unreadable"]

    assert f"of webhook {webhook.pk}" in sentence
    assert [bytes(each) for each in before] == [
        bytes(each) for each in WebhookSecret.objects.values_list("ciphertext", flat=True)
    ]
