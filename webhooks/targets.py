"""What an edit of a webhook changes at once: where to call, how to sign, how much at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from webhooks import headers, keys, own_headers
from webhooks.choices import Authentication, Guarantee
from webhooks.encryption import encryptor
from webhooks.models import Webhook
from webhooks.plans import CompiledPlan
from webhooks.signing import Signer

# A change of URL, key, time limit or concurrency reaches a sender within this.
TARGET_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Target:
    """A webhook as a sender needs it, read anew every second."""

    id: int
    workspace_id: int
    url: str
    own_headers: dict[str, str]
    carry_environment: bool
    signer: Signer | None
    aes_key: bytes | None
    at_most_once: bool
    answers_409: bool
    batch_size: int
    rate_per_second: int | None
    concurrency: int
    timeout: int
    expire_after: timedelta
    success_field: str
    success_value: str
    _lines: dict[int, list[str]] = field(default_factory=dict)
    _encryptors: dict[str, Callable[[str], str]] = field(default_factory=dict)

    def lines(self, plan: CompiledPlan) -> list[str]:
        """Return the header lines that all messages of one plan share.

        Raises:
            HeaderError: one of them cannot be sent.
        """
        found = self._lines.get(plan.id)
        if found is None:
            carries = self.carry_environment or plan.carries_environment
            shared = headers.environment(plan.labels) if carries else {}
            found = self._lines[plan.id] = headers.lines(shared, self.own_headers)
        return found

    def encrypt(self, method: str) -> Callable[[str], str]:
        """Return the function that IDs go through.

        Raises:
            ValueError: AES is wanted and the webhook has no key for it.
        """
        found = self._encryptors.get(method)
        if found is None:
            found = self._encryptors[method] = encryptor(method, self.aes_key)
        return found


def load(webhook: Webhook, *, now: datetime) -> Target:
    """Read a webhook with its keys and headers in clear.

    Raises:
        SecretError: one of them cannot be read; nothing may be sent.
    """
    signing = (
        keys.signing_secrets(webhook, now=now)
        if webhook.authentication == Authentication.KEY
        else []
    )
    return Target(
        id=webhook.pk,
        workspace_id=webhook.workspace_id,
        url=webhook.url,
        own_headers=own_headers.reveal(webhook),
        carry_environment=webhook.carry_environment,
        signer=Signer(signing) if signing else None,
        aes_key=keys.aes_key(webhook, now=now),
        at_most_once=webhook.guarantee == Guarantee.AT_MOST_ONCE,
        answers_409=webhook.answers_409,
        batch_size=webhook.batch_size,
        rate_per_second=webhook.rate_per_second,
        concurrency=webhook.concurrency,
        timeout=webhook.timeout_seconds,
        expire_after=timedelta(hours=webhook.expiry_hours),
        success_field=webhook.success_field,
        success_value=webhook.success_value,
    )


class TargetCache:
    """The targets of one process, each at most a second old."""

    def __init__(self) -> None:
        self._targets: dict[int, tuple[float, Target]] = {}

    def get(self, webhook_id: int) -> Target:
        read_at, target = self._targets.get(webhook_id, (0.0, None))
        if target is None or time.monotonic() - read_at > TARGET_SECONDS:
            target = load(Webhook.objects.get(pk=webhook_id), now=timezone.now())
            self._targets[webhook_id] = time.monotonic(), target
        return target
