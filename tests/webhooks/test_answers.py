"""What every answer means."""

import json

import pytest

from webhooks import answers
from webhooks.answers import Action, Outcome, ResultsError, SuccessRule, judge, read_results
from webhooks.choices import Guarantee

# One line a case: at least once, at most once, counted against the breaker.
DELIVERED, RETRY, DEAD = Action.DELIVERED, Action.RETRY, Action.DEAD
UNCERTAIN, WAIT, PAUSE, DISABLE = Action.UNCERTAIN, Action.WAIT, Action.PAUSE, Action.DISABLE
NETWORK = [
    (Outcome.DNS, RETRY, RETRY, True),
    (Outcome.REFUSED, RETRY, RETRY, True),
    (Outcome.CONNECT_TIMEOUT, RETRY, RETRY, True),
    (Outcome.READ_TIMEOUT, RETRY, UNCERTAIN, True),
    (Outcome.RESET, RETRY, UNCERTAIN, True),
    (Outcome.BROKEN_ANSWER, RETRY, UNCERTAIN, True),
    (Outcome.HANDSHAKE, RETRY, UNCERTAIN, True),
    (Outcome.UNKNOWN, RETRY, UNCERTAIN, True),
    (Outcome.CERTIFICATE, PAUSE, PAUSE, False),
    (Outcome.EGRESS, PAUSE, PAUSE, False),
    (Outcome.INVALID, DEAD, DEAD, False),
]
STATUSES = [
    (200, DELIVERED, DELIVERED, False),
    (201, DELIVERED, DELIVERED, False),
    (202, DELIVERED, DELIVERED, False),
    (204, DELIVERED, DELIVERED, False),
    (299, DELIVERED, DELIVERED, False),
    (425, RETRY, RETRY, True),
    (429, RETRY, RETRY, True),
    (503, RETRY, RETRY, True),
    (408, RETRY, UNCERTAIN, True),
    (500, RETRY, UNCERTAIN, True),
    (502, RETRY, UNCERTAIN, True),
    (504, RETRY, UNCERTAIN, True),
    (599, RETRY, UNCERTAIN, True),
    (409, DELIVERED, DELIVERED, False),
    (400, DEAD, DEAD, False),
    (402, DEAD, DEAD, False),
    (405, DEAD, DEAD, False),
    (406, DEAD, DEAD, False),
    (411, DEAD, DEAD, False),
    (413, DEAD, DEAD, False),
    (415, DEAD, DEAD, False),
    (422, DEAD, DEAD, False),
    (451, DEAD, DEAD, False),
    (501, DEAD, DEAD, False),
    (300, WAIT, WAIT, False),
    (301, WAIT, WAIT, False),
    (307, WAIT, WAIT, False),
    (401, WAIT, WAIT, False),
    (403, WAIT, WAIT, False),
    (404, WAIT, WAIT, False),
    (410, DISABLE, DISABLE, False),
    (101, RETRY, UNCERTAIN, True),
]


@pytest.mark.parametrize(("outcome", "usual", "once", "is_failure"), NETWORK)
def test_an_outcome_on_the_network(
    outcome: Outcome, usual: Action, once: Action, is_failure: bool
) -> None:
    verdict = judge(outcome)

    assert (verdict.action, verdict.counts_as_failure) == (usual, is_failure)
    assert judge(outcome, guarantee=Guarantee.AT_MOST_ONCE).action is once
    assert verdict.reason == outcome.value


@pytest.mark.parametrize(("status", "usual", "once", "is_failure"), STATUSES)
def test_a_status(status: int, usual: Action, once: Action, is_failure: bool) -> None:
    verdict = judge(Outcome.ANSWERED, status)

    assert (verdict.action, verdict.counts_as_failure) == (usual, is_failure)
    assert judge(Outcome.ANSWERED, status, guarantee="at_most_once").action is once
    assert verdict.reason or usual is DELIVERED


def test_every_outcome_is_in_the_table() -> None:
    assert {outcome for outcome, *_rest in NETWORK} == set(Outcome) - {Outcome.ANSWERED}


def test_409_is_a_failure_where_it_does_not_mean_a_repeated_id() -> None:
    assert judge(Outcome.ANSWERED, 409, answers_409=False).action is DEAD


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_a_misconfigured_webhook_pauses_after_twenty_or_at_once(status: int) -> None:
    assert judge(Outcome.ANSWERED, status).pause_at == 20
    assert judge(Outcome.ANSWERED, status, guarantee=Guarantee.AT_MOST_ONCE).pause_at == 1


@pytest.mark.parametrize(
    ("status", "action"),
    [(400, Action.SPLIT), (413, Action.SPLIT), (422, Action.SPLIT), (415, DEAD), (405, DEAD)],
)
def test_a_rejected_batch_is_split_where_one_value_may_be_the_cause(
    status: int, action: Action
) -> None:
    assert judge(Outcome.ANSWERED, status, recipients=2).action is action
    assert judge(Outcome.ANSWERED, status, recipients=1).action is DEAD


# --- The success rule -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pointer", "value", "body", "holds"),
    [
        ("/success", "true", b'{"success": true}', True),
        ("/success", "true", b'{"success": "true"}', True),
        ("/success", "true", b'{"success": false}', False),
        ("/code", "0", b'{"code": 0}', True),
        ("/code", "0", b'{"code": "0"}', True),
        ("/code", "0", b'{"code": 1}', False),
        ("/data/0/state", "ok", b'{"data": [{"state": "ok"}]}', True),
        ("/data/1/state", "ok", b'{"data": [{"state": "ok"}]}', False),
        ("/a~1b/~0", "x", b'{"a/b": {"~": "x"}}', True),
        ("", "ok", b'"ok"', True),
        ("/success", "null", b'{"success": null}', True),
        ("/success", "true", b"", False),
        ("/success", "true", b"OK", False),
        ("/success", "true", b"[1]", False),
        ("/success", "true", b"\xff", False),
        ("/a", "x", b"[" * 100_000, False),
    ],
)
def test_the_success_rule(pointer: str, value: str, body: bytes, holds: bool) -> None:
    rule = SuccessRule(pointer, value)

    verdict = judge(Outcome.ANSWERED, 200, rule=rule, body=body)

    assert rule.holds(body) is holds
    assert verdict.action is (DELIVERED if holds else DEAD)
    assert holds or verdict.reason == "no_success"


def test_a_pointer_begins_with_a_slash() -> None:
    assert SuccessRule.pointer_problem("/success") is None
    assert str(SuccessRule.pointer_problem("success")).endswith(".")


# --- Results --------------------------------------------------------------------------------------

BATCH = ["dlv_a", "dlv_b", "dlv_c"]


def results(*items: object) -> bytes:
    return json.dumps({"results": items}).encode()


def test_those_named_failed_are_settled_one_by_one_and_the_rest_succeeded() -> None:
    body = results(
        {"delivery_id": "dlv_a", "success": True},
        {"delivery_id": "dlv_b", "success": False, "code": 7, "message": "no", "retryable": True},
        {"delivery_id": "dlv_c", "success": False},
        {"delivery_id": "dlv_foreign", "success": False},
    )

    failures = read_results(body, BATCH)

    assert sorted(failures) == ["dlv_b", "dlv_c"]
    assert (failures["dlv_b"].code, failures["dlv_b"].message) == ("7", "no")
    assert failures["dlv_b"].verdict().action is RETRY
    assert failures["dlv_c"].verdict().action is DEAD


@pytest.mark.parametrize("body", [b"", b"OK", b"{}", b"[]", b'{"result": []}', b'"\\"results\\""'])
def test_an_answer_without_results_names_nobody(body: bytes) -> None:
    assert read_results(body, BATCH) == {}


@pytest.mark.parametrize(
    "body",
    [
        b'{"results": [',
        b'{"results": {}}',
        results("dlv_a"),
        results({"delivery_id": "dlv_a"}),
        results({"delivery_id": "dlv_a", "success": "no"}),
        results({"success": False}),
        b'{"results":' + b"[" * 100_000,
    ],
)
def test_unreadable_results_are_an_error_for_a_batch_and_nothing_for_one(body: bytes) -> None:
    with pytest.raises(ResultsError):
        read_results(body, BATCH)
    assert read_results(body, BATCH[:1]) == {}


def test_results_that_were_cut_off_are_an_error() -> None:
    complete = results({"delivery_id": "dlv_a", "success": True})

    with pytest.raises(ResultsError):
        read_results(complete, BATCH, truncated=True)
    with pytest.raises(ResultsError):
        read_results(b'{"log": "', BATCH, truncated=True)
    assert read_results(b"<html>", BATCH, truncated=True) == {}


# --- Sentences ------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.ANSWERED])
def test_every_outcome_has_three_sentences(outcome: Outcome) -> None:
    assert_three_sentences(answers.explain(outcome))


@pytest.mark.parametrize(
    "status",
    [None, 100, 200, 204, *range(300, 309), *range(400, 452), 500, 501, 502, 503, 504, 599],
)
def test_every_status_has_three_sentences(status: int | None) -> None:
    assert_three_sentences(answers.explain("answered", status, reason="no_success"))


def assert_three_sentences(explanation: answers.Explanation) -> None:
    for sentence in (explanation.what, explanation.side, explanation.advice):
        assert str(sentence)[0].isupper()
        assert str(sentence).endswith(".")
        assert "%(" not in str(sentence)


def test_an_unauthorized_answer_speaks_of_the_key() -> None:
    assert str(answers.explain(Outcome.ANSWERED, 401)) == (
        "The other system refused the request: it did not recognise the key (401). "
        "The two sides do not have the same key. "
        "Give its developers the key of this webhook again, or enter the one they gave you."
    )


def test_every_reason_a_verdict_gives_is_a_sentence() -> None:
    given = {
        judge(
            Outcome.ANSWERED, status, guarantee=guarantee, answers_409=said, recipients=people
        ).reason
        for status in range(100, 600)
        for guarantee in Guarantee
        for said in (True, False)
        for people in (1, 2)
    } | {judge(outcome).reason for outcome in Outcome if outcome is not Outcome.ANSWERED}

    for reason in given - {""}:
        assert str(answers.reason_sentence(reason)).endswith("."), reason


def test_a_reason_of_another_version_is_shown_as_it_is() -> None:
    assert answers.reason_sentence("from_the_future") == "from_the_future"
