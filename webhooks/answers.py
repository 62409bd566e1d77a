"""What an answer means: one table for what the other side said, one for what the engine does.

Pure: the engine hands in the outcome and gets a verdict; screens hand in the same and get
sentences.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from webhooks.choices import Guarantee

MISCONFIGURED_IN_A_ROW: Final = 20  # So many 401, 403, 404 or 3xx pause the webhook.


class Outcome(StrEnum):
    """How one request ended on the network; stored with every attempt."""

    ANSWERED = "answered"
    DNS = "dns"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect_timeout"
    READ_TIMEOUT = "read_timeout"
    RESET = "reset"
    BROKEN_ANSWER = "broken_answer"
    HANDSHAKE = "handshake"
    CERTIFICATE = "certificate"
    EGRESS = "egress"
    INVALID = "invalid"  # Never sent: rendering, header or size.
    UNKNOWN = "unknown"  # The sender died while it was open.


class Action(StrEnum):
    """What the engine does with the people of a message."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"
    UNCERTAIN = "uncertain"
    SPLIT = "split"  # Into halves, down to one, so that one bad value kills nobody else.
    WAIT = "wait"  # Misconfigured: tried again without using an attempt.
    DISABLE = "disable"  # The webhook; its people wait.
    PAUSE = "pause"  # The webhook, with the reason; its people wait.


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` is kept with the delivery or shown as why the webhook was paused.

    ``counts_as_failure`` is for the breaker; ``pause_at`` is after how many such answers in
    a row a ``WAIT`` pauses the webhook.
    """

    action: Action
    reason: str = ""
    counts_as_failure: bool = False
    pause_at: int = 0


@dataclass(frozen=True, slots=True)
class SuccessRule:
    """A 2xx counts only when the answer's JSON holds ``value`` at ``pointer`` (RFC 6901)."""

    pointer: str
    value: str

    def holds(self, body: bytes) -> bool:
        try:
            node = json.loads(body)
        except (ValueError, RecursionError):
            return False
        for raw in self.pointer.split("/")[1:]:
            key = raw.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and key.isdecimal() and int(key[:9]) < len(node):
                node = node[int(key)]
            else:
                return False
        return node == self.value if isinstance(node, str) else json.dumps(node) == self.value

    @staticmethod
    def pointer_problem(pointer: str) -> str | Promise | None:
        """Return why this is no JSON pointer, as a sentence, or None."""
        if pointer and not pointer.startswith("/"):
            return _("Begin the success field with “/”, like /success or /data/code.")
        return None


# --- The table ------------------------------------------------------------------------------------

_REJECTED: Final = frozenset({400, 405, 411, 413, 415, 422, 501})
_SPLITTABLE: Final = frozenset({400, 413, 422})
_LATER: Final = frozenset({425, 429, 503})
_MISCONFIGURED: Final = frozenset({401, 403, 404})

# Nothing was sent, so that trying again cannot double even at most once.
_UNSENT: Final = frozenset({Outcome.DNS, Outcome.REFUSED, Outcome.CONNECT_TIMEOUT})
_UNCLEAR: Final = frozenset(
    {
        Outcome.READ_TIMEOUT,
        Outcome.RESET,
        Outcome.BROKEN_ANSWER,
        Outcome.HANDSHAKE,
        Outcome.UNKNOWN,
    }
)

_DELIVERED: Final = Verdict(Action.DELIVERED)


def judge(
    outcome: Outcome,
    status: int | None = None,
    *,
    guarantee: Guarantee | str = Guarantee.AT_LEAST_ONCE,
    answers_409: bool = True,
    rule: SuccessRule | None = None,
    body: bytes = b"",
    recipients: int = 1,
) -> Verdict:
    """Return what becomes of a message; ``read_results`` then tells single people apart."""
    once = guarantee == Guarantee.AT_MOST_ONCE
    if outcome is Outcome.ANSWERED:
        return _judge_status(status or 0, once, answers_409, rule, body, recipients)
    if outcome in _UNSENT:
        return Verdict(Action.RETRY, outcome.value, counts_as_failure=True)
    if outcome in _UNCLEAR:
        action = Action.UNCERTAIN if once else Action.RETRY
        return Verdict(action, outcome.value, counts_as_failure=True)
    if outcome in (Outcome.CERTIFICATE, Outcome.EGRESS):
        return Verdict(Action.PAUSE, outcome.value)
    return Verdict(Action.DEAD, outcome.value)


def _judge_status(
    status: int,
    once: bool,
    answers_409: bool,
    rule: SuccessRule | None,
    body: bytes,
    recipients: int,
) -> Verdict:
    if 200 <= status < 300:
        if rule is None or rule.holds(body):
            return _DELIVERED
        # The other system took the request and said no: the same again gets the same.
        return Verdict(Action.DEAD, "no_success")
    if status == 409:
        return Verdict(Action.DELIVERED, "repeated") if answers_409 else _dead(status)
    if status in _LATER:
        return Verdict(Action.RETRY, f"status_{status}", counts_as_failure=True)
    if status == 408 or (status >= 500 and status != 501):
        action = Action.UNCERTAIN if once else Action.RETRY
        return Verdict(action, f"status_{status}", counts_as_failure=True)
    if status in _MISCONFIGURED or 300 <= status < 400:
        pause_at = 1 if once else MISCONFIGURED_IN_A_ROW
        return Verdict(Action.WAIT, "misconfigured", pause_at=pause_at)
    if status == 410:
        return Verdict(Action.DISABLE, "gone")
    if status in _SPLITTABLE and recipients > 1:
        return Verdict(Action.SPLIT, "rejected")
    if 400 <= status < 500 or status in _REJECTED:
        return _dead(status)
    # 1xx as a final status, or none at all: no HTTP that we know.
    action = Action.UNCERTAIN if once else Action.RETRY
    return Verdict(action, Outcome.BROKEN_ANSWER.value, counts_as_failure=True)


def _dead(status: int) -> Verdict:
    return Verdict(Action.DEAD, "rejected" if status in _REJECTED else f"status_{status}")


# --- Results for single people --------------------------------------------------------------------


class ResultsError(Exception):
    """``results`` are cut off or invalid: the message is tried again under its id."""


@dataclass(frozen=True, slots=True)
class RecipientFailure:
    """What the other side said about one person of a message that it took."""

    delivery_id: str
    code: str
    message: str
    retryable: bool

    def verdict(self) -> Verdict:
        """Named failed by the receiver itself, so a further try is safe under either guarantee."""
        if self.retryable:
            return Verdict(Action.RETRY, "recipient_failed")
        return Verdict(Action.DEAD, "recipient_rejected")


def read_results(
    body: bytes, delivery_ids: Sequence[str], *, truncated: bool = False
) -> dict[str, RecipientFailure]:
    """Return the people that a 2xx answer names as failed, by delivery id; the rest succeeded.

    An answer without ``results`` names nobody. Ids that are not of this message are ignored.

    Raises:
        ResultsError: the message has several people and its results cannot be read. With
            one person such an answer is what its status says.
    """
    try:
        return _read_results(body, frozenset(delivery_ids), truncated)
    except ResultsError:
        if len(delivery_ids) > 1:
            raise
        return {}


def _read_results(
    body: bytes, delivery_ids: frozenset[str], truncated: bool
) -> dict[str, RecipientFailure]:
    if b'"results"' not in body:
        # Cut off before its end, an object might have gone on to results.
        if truncated and body.lstrip()[:1] == b"{":
            raise ResultsError("cut off")
        return {}
    if truncated:
        raise ResultsError("cut off")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise ResultsError("not JSON") from None
    if not isinstance(answer, dict) or "results" not in answer:
        return {}
    if not isinstance(answer["results"], list):
        raise ResultsError("not a list")
    failures: dict[str, RecipientFailure] = {}
    for item in answer["results"]:
        failure = _failure(item)
        if failure is not None and failure.delivery_id in delivery_ids:
            failures[failure.delivery_id] = failure
    return failures


def _failure(item: Any) -> RecipientFailure | None:
    """Read one result; None for a success."""
    if not isinstance(item, dict):
        raise ResultsError("an item is no object")
    delivery_id, success = item.get("delivery_id"), item.get("success")
    if not isinstance(delivery_id, str) or not isinstance(success, bool):
        raise ResultsError("an item lacks delivery_id or success")
    if success:
        return None
    return RecipientFailure(
        delivery_id=delivery_id,
        code=str(item.get("code") or "")[:64],
        message=str(item.get("message") or "")[:500],
        retryable=item.get("retryable") is True,
    )


# --- Sentences ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Explanation:
    """A failure in three sentences: what happened, on whose side, what to do."""

    what: str | Promise
    side: str | Promise
    advice: str | Promise

    def __str__(self) -> str:
        return f"{self.what} {self.side} {self.advice}"


_THEIRS: Final = _("The cause is on the other system’s side.")
_OURS: Final = _("The cause is in the webhook’s settings here.")
_BETWEEN: Final = _("The cause may be the network, or the other system.")

_BY_OUTCOME: Final[Mapping[Outcome, Explanation]] = {
    Outcome.DNS: Explanation(
        _("The host name of the URL was not found."),
        _OURS,
        _("Check the URL for a typing error, and that the name is public."),
    ),
    Outcome.REFUSED: Explanation(
        _("No connection could be made: the other system does not accept any at this address."),
        _THEIRS,
        _("Ask its developers whether it is running and reachable from here, on this port."),
    ),
    Outcome.CONNECT_TIMEOUT: Explanation(
        _("No connection could be made in time."),
        _BETWEEN,
        _("Ask the other system’s developers whether a firewall blocks requests from here."),
    ),
    Outcome.READ_TIMEOUT: Explanation(
        _("The request was sent, but no complete answer came within the time limit."),
        _THEIRS,
        _("Ask its developers to answer first and work afterwards, or raise the time limit."),
    ),
    Outcome.RESET: Explanation(
        _("The connection broke off before the answer was complete."),
        _THEIRS,
        _("Try again; if it stays so, ask its developers for their log of this time."),
    ),
    Outcome.BROKEN_ANSWER: Explanation(
        _("What came back is no HTTP answer."),
        _THEIRS,
        _("Check that the port in the URL is that of the other system’s web service."),
    ),
    Outcome.HANDSHAKE: Explanation(
        _("No encrypted connection could be made."),
        _THEIRS,
        _("Ask its developers to offer TLS 1.2 or later on this port."),
    ),
    Outcome.CERTIFICATE: Explanation(
        _("The certificate of the other system could not be trusted, so nothing was sent."),
        _THEIRS,
        _("Ask its developers to renew the certificate, or to install the complete chain."),
    ),
    Outcome.EGRESS: Explanation(
        _("The URL leads to an address that may not be called, so nothing was sent."),
        _OURS,
        _("Enter a public URL, or ask the operator to add the address to the allowed ones."),
    ),
    Outcome.INVALID: Explanation(
        _("The request could not be made from these values, so nothing was sent."),
        _OURS,
        _("Shorten the values or change the characters that cannot be sent."),
    ),
    Outcome.UNKNOWN: Explanation(
        _("The sending process stopped while the request was open, so its outcome is not known."),
        _("The cause is on our side."),
        _("Look for the message in the other system before you send it again."),
    ),
}

_ADVICE_REJECTED: Final = _(
    "Show its developers the request and the answer below; "
    "a parameter or the ID may be missing or wrong."
)
_BY_STATUS: Final[Mapping[int, Explanation]] = {
    401: Explanation(
        _("The other system refused the request: it did not recognise the key (401)."),
        _("The two sides do not have the same key."),
        _("Give its developers the key of this webhook again, or enter the one they gave you."),
    ),
    403: Explanation(
        _("The other system refused the request: it is not allowed (403)."),
        _THEIRS,
        _("Ask its developers to allow requests from here, and compare the keys."),
    ),
    404: Explanation(
        _("The other system has nothing at this URL (404)."),
        _OURS,
        _("Compare the URL with the one its developers gave you, character by character."),
    ),
    405: Explanation(
        _("The other system does not accept POST at this URL (405)."),
        _OURS,
        _("Compare the URL with the one its developers gave you, character by character."),
    ),
    408: Explanation(
        _("The other system gave up waiting for the request (408)."),
        _BETWEEN,
        _("Try again in a minute."),
    ),
    409: Explanation(
        _("The other system says that it has this message already (409)."),
        _OURS,
        _("If this is its answer to a repeated ID, tick that in the webhook’s settings."),
    ),
    410: Explanation(
        _("The other system says that this URL is no longer in use (410)."),
        _THEIRS,
        _("Ask its developers for the new URL; the webhook is disabled until then."),
    ),
    413: Explanation(
        _("The message is too large for the other system (413)."),
        _THEIRS,
        _("Shorten the text, or lower the webhook’s batch size."),
    ),
    415: Explanation(
        _("The other system does not take JSON at this URL (415)."),
        _OURS,
        _("Compare the URL with the one its developers gave you, character by character."),
    ),
    429: Explanation(
        _("The other system is receiving more than it allows (429)."),
        _THEIRS,
        _("Wait a moment, and lower the webhook’s requests a second."),
    ),
    501: Explanation(
        _("The other system does not know this kind of request (501)."),
        _THEIRS,
        _("Compare the URL with the one its developers gave you, character by character."),
    ),
    503: Explanation(
        _("The other system is not available at the moment (503)."),
        _THEIRS,
        _("Try again in a minute; if it stays so, ask its developers."),
    ),
}


def explain(outcome: Outcome | str, status: int | None = None, *, reason: str = "") -> Explanation:
    """Return the sentences for a request that was not accepted.

    Args:
        reason: the verdict's, to tell a 2xx that broke the success rule or named the
            person as failed.
    """
    outcome = Outcome(outcome)
    if outcome is not Outcome.ANSWERED:
        return _BY_OUTCOME[outcome]
    status = status or 0
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    shown = {"status": status}
    if 200 <= status < 300:
        return _explain_success(status, reason)
    if 300 <= status < 400:
        return Explanation(
            _("The other system sends the request on to another URL (%(status)d).") % shown,
            _OURS,
            _("Enter the final URL: for safety, requests are never sent on."),
        )
    if 400 <= status < 500:
        return Explanation(
            _("The other system refused the request (%(status)d).") % shown,
            _THEIRS,
            _ADVICE_REJECTED,
        )
    if status >= 500:
        return Explanation(
            _("The other system failed while it handled the request (%(status)d).") % shown,
            _THEIRS,
            _("Ask its developers for their log of this time; the request is below."),
        )
    return _BY_OUTCOME[Outcome.BROKEN_ANSWER]


def _explain_success(status: int, reason: str) -> Explanation:
    shown = {"status": status}
    if reason == "no_success":
        what = _("The other system answered (%(status)d), but its answer does not say success.")
    else:
        what = _(
            "The other system took the request (%(status)d), but reports a failure for this ID."
        )
    return Explanation(what % shown, _THEIRS, _ADVICE_REJECTED)


# Why a delivery ended as it did or a webhook was paused; one sentence for each stored reason.
REASONS: Final[Mapping[str, str | Promise]] = {
    "no_id": _("No ID of the wanted type is known in any data source."),
    "no_reach_id": _("No ID of the type to reach the person is known in any data source."),
    "variable_empty": _("A variable that must not be empty has no value."),
    "merged": _("This person was joined with another who is in the same run."),
    "erased": _("This person was erased."),
    "fatigue": _("The person has already received as much as the limits allow."),
    "quiet": _("It was a quiet period."),
    "cancelled": _("The run was stopped."),
    "disabled": _("The webhook is disabled."),
    "exhausted": _("All attempts failed."),
    "expired": _("It could not be sent in time."),
    "given_up": _("An operator ended the waiting."),
    "send_until": _("The step’s last sending time had passed."),
    "poison": _("Sending this one stopped the sender three times."),
    "rendering": _("The request could not be made from this person’s values."),
    "invalid_header": _("A header of the webhook cannot be sent."),
    "too_long": _("A value or the whole message is too long."),
    "invalid": _("The request could not be made from this person’s values."),
    "rejected": _("The other system refused the request."),
    "no_success": _("The other system answered, but not with success."),
    "recipient_rejected": _("The other system reported a failure for this person."),
    "recipient_failed": _(
        "The other system reported a failure for this person and may be asked again."
    ),
    "repeated": _("The other system already had it."),
    "misconfigured": _("The other system keeps refusing: key or URL may be wrong."),
    "failing": _("For a day the other system has answered with failures only."),
    "gone": _("The other system says that this URL is no longer in use."),
    "results_unreadable": _("The results in the answer could not be read."),
}


def reason_sentence(reason: str) -> str | Promise:
    """Return a stored reason as a sentence; a reason that this version does not know, as itself."""
    if reason in REASONS:
        return REASONS[reason]
    if reason.startswith("status_") and reason[7:].isdecimal():
        return explain(Outcome.ANSWERED, int(reason[7:])).what
    try:
        return _BY_OUTCOME[Outcome(reason)].what
    except (KeyError, ValueError):
        return reason
