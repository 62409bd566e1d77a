"""One test's request in the making: the same plan, body, headers and keys that the engine uses."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from identity import masking
from identity.models import IdType
from identity.normalising import InvalidValueError, normalise
from webhooks import headers, keys, own_headers, parameter_values, plans, previews
from webhooks.bodies import compile_body, fill_content, pretty
from webhooks.choices import Authentication, Encryption
from webhooks.encryption import encryptor
from webhooks.ids import DeliveryIds, MessageIds
from webhooks.models import Webhook, WebhookRevision
from webhooks.rendering import BindingError, ParameterPlan, Rendered, SizeError, Skipped
from webhooks.secrets import SecretError
from webhooks.signing import Signer
from webhooks.transport import Request

STORED_CHARACTERS: Final = 32_000
TOKEN_LENGTH: Final = 64
# An ID shorter than this is masked only where it stands as a whole JSON string.
_SHORT: Final = 5
# Beside the administrator's own, whose values may be secrets.
_MASKED_HEADERS: Final = frozenset({"webhook-signature", "authorization", "cookie"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to test: the step as its panel shows it, or a webhook with values typed for the test.

    Args:
        values: by parameter name, as typed; constants take their own.
        variables: by parameter name, as a step's config keeps them.
        given: by parameter name and variable name, what stands for the person's value.
        reach_id_type: None when the person is reached by the same ID; then no ``reach_id`` either.
        labels: what the x-qa headers say beside the workspace.
    """

    webhook: Webhook
    revision: WebhookRevision
    id_type: IdType
    typed_id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reach_id_type: IdType | None = None
    reach_id: str = ""
    encryption: str = Encryption.NONE
    labels: Mapping[str, Any] = field(default_factory=dict)
    step_key: UUID | None = None
    fingerprint: str = ""


class InvalidOrderError(Exception):
    """Nothing was sent: by place (``typed_id``, ``parameter:<name>`` …) a sentence each."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(errors)
        self.errors = dict(errors)


class NotSentError(Exception):
    """Nothing was sent, for a reason that no field mends; the message is a full sentence."""


@dataclass(frozen=True, slots=True)
class Exact:
    """What went out, for the record: the lines and bytes, and what of them is masked."""

    url: str
    lines: list[str]
    body: bytes
    hidden: Mapping[str, str]
    masked_headers: frozenset[str]
    masked_id: str
    delivery_id: str
    content: str

    def text(self) -> str:
        head = previews.request_head(self.url, self.lines, masked=self.masked_headers)
        return self.mask(f"{head}\n\n{pretty(self.body)}")[:STORED_CHARACTERS]

    def answer(self, text: str) -> str:
        """Return an answer's text for people, which may repeat what the request held."""
        for clear, masked in self._passwords().items():
            text = text.replace(clear, masked)
        return self.mask(text)[:STORED_CHARACTERS]

    def mask(self, text: str) -> str:
        for clear, masked in self.hidden.items():
            text = text.replace(clear, masked)
        return text.replace("\x00", "�")

    def _passwords(self) -> dict[str, str]:
        """Return what to replace for masked headers: their values, and those without a scheme."""
        pairs = (line.partition(": ") for line in self.lines)
        values = [value for name, _colon, value in pairs if name.lower() in self.masked_headers]
        found = {each for value in values for each in (value, *value.split()[-1:]) if each}
        found |= {json.dumps(each)[1:-1] for each in found}
        parts = dict(_maskable(each, previews.MASK) for each in found)
        return dict(sorted(parts.items(), key=lambda pair: -len(pair[0])))


def make(order: Order, *, token: str, now: datetime) -> tuple[Request, Exact]:
    """Return the request of a test, and what of it may be shown.

    Raises:
        InvalidOrderError: something typed has to be mended first.
        NotSentError: the webhook itself has to.
    """
    return _Making(order, token, now).request()


class _Making:
    """One test's request in the making; every mistake ends as an ``InvalidOrderError``."""

    def __init__(self, order: Order, token: str, now: datetime) -> None:
        self.order, self.token, self.now = order, token, now

    def request(self) -> tuple[Request, Exact]:
        order = self.order
        plan, rendered = self._rendered()
        clear, clear_reach = self._ids()
        sent, reach = self._encrypted(clear), self._encrypted(clear_reach)
        reach_type = order.reach_id_type or order.id_type
        body = compile_body(
            order.revision.body,
            plan,
            id_type=order.id_type.code,
            reach_id_type=reach_type.code,
            test=True,
        )
        delivery_id = self._delivery_id()
        message_id = MessageIds(settings.DELIVERY_KEY).one([delivery_id])
        try:
            data = body.message(message_id, [body.recipient(delivery_id, sent, reach, rendered)])
        except SizeError as error:
            raise InvalidOrderError({"": str(error)}) from error
        lines = self._lines(message_id, data)
        exact = Exact(
            url=order.webhook.url,
            lines=lines,
            body=data,
            hidden=self._hidden({clear: order.id_type, clear_reach: reach_type}, {sent, reach}),
            masked_headers=_MASKED_HEADERS | {name.lower() for name in order.webhook.headers},
            masked_id=masking.mask(clear, order.id_type),
            delivery_id=delivery_id,
            content=fill_content(order.revision.content_template, plan.texts(rendered)),
        )
        request = Request(
            url=order.webhook.url,
            headers=lines,
            body=data,
            timeout=float(order.webhook.timeout_seconds),
            fresh=True,
        )
        return request, exact

    def _rendered(self) -> tuple[ParameterPlan, Rendered]:
        order = self.order
        errors = {
            f"parameter:{name}": sentence
            for name, sentence in parameter_values.problems(
                order.revision.parameters, order.values
            ).items()
        }
        if errors:
            raise InvalidOrderError(errors)
        bindings = plans.bind(
            order.revision.parameters, values=order.values, variables=order.variables
        )
        try:
            plan = ParameterPlan(bindings, zone=order.webhook.workspace.zone)
            rendered = plan.render_values(
                [
                    order.given.get(each.parameter, {}).get(each.variable.name, "")
                    for each in plan.variables
                ]
            )
        except BindingError as error:
            raise InvalidOrderError({f"parameter:{error.parameter}": str(error.message)}) from error
        except SizeError as error:
            message = _("This has %(length)d characters; %(limit)d at most are possible.")
            shown = {"length": error.length, "limit": error.limit}
            raise InvalidOrderError({f"parameter:{error.what}": message % shown}) from error
        if isinstance(rendered, Skipped):
            message = _(
                "“%(name)s” is empty and its rule is to skip the person, so nothing is sent. "
                "Type a value for it."
            )
            place = f"variable:{rendered.parameter}:{rendered.variable}"
            raise InvalidOrderError({place: message % {"name": rendered.variable}})
        return plan, rendered

    def _ids(self) -> tuple[str, str]:
        """Return the ID to send and the one to reach the person by, normalised."""
        order = self.order
        allowed = {each["id"] for each in order.revision.id_types}
        errors: dict[str, str] = {}
        if order.id_type.pk not in allowed or not order.id_type.enabled:
            errors["id_type"] = _("The webhook does not take this ID type. Choose another one.")
        clear = self._normal(order.id_type, order.typed_id, "typed_id", errors)
        reach = clear
        if order.reach_id_type and order.reach_id_type != order.id_type:
            reach = self._normal(order.reach_id_type, order.reach_id, "reach_id", errors)
        if errors:
            raise InvalidOrderError(errors)
        return clear, reach

    def _normal(self, id_type: IdType, typed: str, place: str, errors: dict[str, str]) -> str:
        try:
            normal = normalise(typed, id_type.kind)
        except InvalidValueError as error:
            errors[place] = str(error)
            return ""
        if not normal:
            errors[place] = _("Enter an ID to send the test to.")
        return normal

    def _encrypted(self, clear: str) -> str:
        try:
            key = (
                keys.aes_key(self.order.webhook, now=self.now)
                if self.order.encryption == Encryption.AES
                else None
            )
            return encryptor(self.order.encryption, key)(clear)
        except ValueError:
            message = _(
                "The webhook has no AES key. Choose another encryption, or ask an administrator."
            )
            raise InvalidOrderError({"encryption": message}) from None
        except SecretError as error:
            raise NotSentError(unreadable_key()) from error

    def _delivery_id(self) -> str:
        maker = DeliveryIds(
            settings.DELIVERY_KEY,
            run="test",
            step_key=self.token[:TOKEN_LENGTH],
            day=self.now.date(),
        )
        return maker.one(0)

    def _lines(self, message_id: str, data: bytes) -> list[str]:
        webhook = self.order.webhook
        labels = {"workspace": webhook.workspace.name, **self.order.labels}
        marks = headers.environment(labels if webhook.carry_environment else {}, test=True)
        timestamp = int(self.now.timestamp())
        signature = None
        try:
            lines = headers.lines(marks, own_headers.reveal(webhook))
            if webhook.authentication == Authentication.KEY:
                signer = Signer(keys.signing_secrets(webhook, now=self.now))
                signature = signer.sign(message_id, timestamp, data)
        except headers.HeaderError as error:
            message = _("The header “%(name)s” cannot be sent. Mend it on the webhook’s page.")
            raise NotSentError(message % {"name": error}) from error
        except SecretError as error:
            raise NotSentError(unreadable_key()) from error
        except ValueError as error:
            raise NotSentError(
                _("The webhook has no key yet. Make one on its page, then test again.")
            ) from error
        return [*lines, *headers.message_lines(message_id, timestamp, signature)]

    def _hidden(self, clear: Mapping[str, IdType], sent: set[str]) -> dict[str, str]:
        """Return what to replace in texts for people, the longest first, JSON's spelling too."""
        found = {value: masking.mask(value, id_type) for value, id_type in clear.items()}
        # A hash of a mobile number is as good as the number.
        found |= {value: f"{value[:4]}{masking.HIDDEN}" for value in sent if value not in found}
        found |= {json.dumps(value)[1:-1]: masked for value, masked in found.items()}
        parts = dict(_maskable(value, masked) for value, masked in found.items())
        return dict(sorted(parts.items(), key=lambda pair: -len(pair[0])))


def _maskable(value: str, masked: str) -> tuple[str, str]:
    """Return what to look for: a short value only as a whole JSON string."""
    return (f'"{value}"', f'"{masked}"') if len(value) < _SHORT else (value, masked)


def unreadable_key() -> str:
    """Return the sentence for a key, or a header, that FIELD_KEYS does not open."""
    return _("The webhook’s key cannot be read. Ask the operator to check FIELD_KEYS.")
