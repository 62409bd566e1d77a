"""The receiver: what it counts, how it answers, its command."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import pytest
import requests
from django.core.management import CommandError, call_command

from webhooks.receiver import Behaviour, Mode, Receiver, Reply
from webhooks.receiver.ledger import Ledger
from webhooks.receiver.receipts import Target
from webhooks.receiver.server import Options
from webhooks.secrets import generate_signing_secret
from webhooks.signing import Signer, verify

SECRET = generate_signing_secret()
TEMPLATE = "Discount activity at {parameter 1 character}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(options=Options(secrets=[SECRET], template=TEMPLATE)) as running:
        yield running


def message(*delivery_ids: str, test: bool = False, text: str = "abc") -> bytes:
    people = [
        {"delivery_id": each, "id": "138", "params": {"parameter 1 character": text, "n": 20}}
        for each in delivery_ids
    ]
    told = {"type": "webhook.message", "id": "m", "test": test, "recipients": people}
    return json.dumps(told).encode()


def post(
    receiver: Receiver,
    body: bytes,
    path: str = "/x",
    *,
    message_id: str = "msg_1",
    secret: str | None = SECRET,
    timeout: float = 5,
) -> requests.Response:
    stamp = int(time.time())
    lines = {"webhook-id": message_id, "webhook-timestamp": str(stamp)}
    if secret is not None:
        lines["webhook-signature"] = Signer([secret]).sign(message_id, stamp, body)
    return requests.post(receiver.url(path), data=body, headers=lines, timeout=timeout)


def wait_for(is_true: Callable[[], object], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


# --- Counting -------------------------------------------------------------------------------------


def test_the_seeds_first_example_is_read_as_the_person_reads_it(receiver: Receiver) -> None:
    assert post(receiver, message("dlv_a")).status_code == 200

    (entry,) = receiver.entries("/x")
    assert entry.contents(TEMPLATE) == ["Discount activity at abc"]
    assert entry.signature == "verified"


def test_people_are_counted_once_and_repetitions_apart(receiver: Receiver) -> None:
    receiver.script("/x", Reply(503))
    for body in (message("dlv_a"), message("dlv_a"), message("dlv_a"), message("dlv_b", "dlv_c")):
        post(receiver, body)

    counts = receiver.ledger("/x").stats()
    assert (counts["requests"], counts["recipients"], counts["delivered"]) == (4, 5, 3)
    assert (counts["retries"], counts["duplicates"]) == (1, 1)
    assert counts["statuses"] == {"200": 3, "503": 1}
    assert counts["signatures_verified"] == 4


def test_a_batch_is_known_by_its_own_id_too(receiver: Receiver) -> None:
    for _each in range(2):
        post(receiver, message("dlv_a", "dlv_b"), message_id="msg_ab")

    counts = receiver.ledger("/x").stats()
    assert (counts["repeated_messages"], counts["duplicates"]) == (1, 2)


@pytest.mark.parametrize(
    ("secret", "verdict"), [(None, "missing"), ("whsec_c29tZWJvZHkgZWxzZQ==", "bad")]
)
def test_an_untrusted_request_is_refused_and_delivers_nothing(
    receiver: Receiver, secret: str | None, verdict: str
) -> None:
    assert post(receiver, message("dlv_a"), secret=secret).status_code == 401

    counts = receiver.ledger("/x").stats()
    assert counts["delivered"] == 0
    assert counts[f"signatures_{verdict}"] == 1


def test_an_old_request_is_refused() -> None:
    ledger = Ledger("/x")
    ledger.trust([SECRET])
    stamp = int(time.time()) - 400
    lines = {
        "webhook-id": "m",
        "webhook-timestamp": str(stamp),
        "webhook-signature": Signer([SECRET]).sign("m", stamp, b"{}"),
    }

    assert ledger.receive(lines, b"{}").signature == "bad"


def test_test_messages_stay_out_of_the_counts(receiver: Receiver) -> None:
    post(receiver, message("dlv_a", test=True))

    counts = receiver.ledger("/x").stats()
    assert (counts["requests"], counts["tests"], counts["delivered"]) == (1, 1, 0)


def test_each_path_is_a_ledger_of_its_own(receiver: Receiver) -> None:
    post(receiver, message("dlv_a"), "/one")
    post(receiver, message("dlv_a"), "/two/deep?query=1")

    assert sorted(receiver.stats()["ledgers"]) == ["/one", "/two/deep"]
    assert receiver.stats()["ledgers"]["/two/deep"]["duplicates"] == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"text", b"[1]", b'{"recipients": 7}', b'{"recipients": [1, {}]}', b"\xff", b"[" * 9_999],
)
def test_a_body_of_another_form_is_counted_as_a_request(receiver: Receiver, body: bytes) -> None:
    assert post(receiver, body).status_code == 200
    assert receiver.ledger("/x").stats()["recipients"] == 0


def test_the_memory_of_a_million_ids_is_modest() -> None:
    ledger = Ledger("/x")

    for number in range(10_000):
        entry = ledger.receive({"webhook-id": f"m{number}"}, message(f"dlv_{number}"))
        ledger.record(entry, status=200, accepted=True, failed=frozenset())

    assert len(ledger.entries) == 1_000
    assert ledger.stats()["delivered"] == 10_000
    kept = sys.getsizeof(ledger._accepted) + 32 * len(ledger._accepted)
    assert kept / 10_000 < 110  # Bytes an id.


# --- Looking --------------------------------------------------------------------------------------


def test_looking_at_what_came_in(receiver: Receiver) -> None:
    receiver.script("/x", Reply(503))
    post(receiver, message("dlv_a"))
    post(receiver, message("dlv_a"))

    found = requests.get(receiver.url("/ledger?delivery_id=dlv_a"), timeout=5).json()
    assert (found["accepted"], found["times"], found["path"]) == (True, 2, "/x")
    assert [each["status"] for each in found["requests"]] == [503, 200]
    assert found["requests"][0]["contents"] == ["Discount activity at abc"]
    unknown = requests.get(receiver.url("/ledger?delivery_id=dlv_z"), timeout=5).json()
    assert (unknown["accepted"], unknown["times"]) == (False, 0)
    stats = requests.get(receiver.url("/stats"), timeout=5).json()
    assert stats["ledgers"]["/x"]["requests"] == 2
    assert len(requests.get(receiver.url("/requests?limit=1"), timeout=5).json()) == 1
    assert requests.get(receiver.url("/other"), timeout=5).status_code == 404


def test_reset_forgets_everything_but_the_secrets(receiver: Receiver) -> None:
    post(receiver, message("dlv_a"))

    requests.post(receiver.url("/reset"), timeout=5)

    assert receiver.ledger("/x").stats()["requests"] == 0
    assert post(receiver, message("dlv_a"), secret=None).status_code == 401


# --- Answering ------------------------------------------------------------------------------------


def answers(receiver: Receiver, count: int) -> list[int]:
    return [post(receiver, message(f"dlv_{number}")).status_code for number in range(count)]


@pytest.mark.parametrize(
    ("behaviour", "statuses"),
    [
        (Behaviour(), {200}),
        (Behaviour(status=202), {202}),
        (Behaviour(Mode.FAILING), {503}),
        (Behaviour(Mode.FAILING, status=422), {422}),
        (Behaviour(fail_percent=50, seed=1), {200, 503}),
        (Behaviour(Mode.FAILING, fail_percent=50, status=500, seed=1), {200, 500}),
        (Behaviour(fail_percent=100, status=429), {429}),
    ],
)
def test_answers_as_told(receiver: Receiver, behaviour: Behaviour, statuses: set[int]) -> None:
    receiver.behave("/x", behaviour)

    assert set(answers(receiver, 12)) == statuses


@pytest.mark.parametrize("mode", [Mode.OK, Mode.FAILING])
def test_as_many_requests_fail_as_were_asked_for(mode: Mode) -> None:
    behaviour = Behaviour(mode, fail_percent=10, seed=1)

    statuses = [behaviour.reply([], is_repeated=False).status for _ in range(10_000)]

    assert 900 < statuses.count(503) < 1_100


def test_partial_results_name_those_who_failed(receiver: Receiver) -> None:
    receiver.behave("/x", Behaviour(Mode.PARTIAL, fail_percent=50, seed=1))
    ids = [f"dlv_{number}" for number in range(20)]

    results = post(receiver, message(*ids)).json()["results"]

    failed = [each["delivery_id"] for each in results if not each["success"]]
    assert [each["delivery_id"] for each in results] == ids
    assert 0 < len(failed) < 20
    assert receiver.ledger("/x").stats()["delivered"] == 20 - len(failed)
    assert not receiver.ledger("/x").find(failed[0])["accepted"]


def test_409_to_what_was_accepted_before(receiver: Receiver) -> None:
    receiver.behave("/x", Behaviour(answer_409=True))

    assert [post(receiver, message("dlv_a")).status_code for _each in range(2)] == [200, 409]
    assert post(receiver, message("dlv_a", "dlv_b")).status_code == 200


@pytest.mark.parametrize(
    ("behaviour", "least"),
    [
        (Behaviour(Mode.SLOW, delay=0.3), 0.3),
        (Behaviour(delay=0.3), 0.3),
        (Behaviour(Mode.DRIP, delay=0.005), 0.15),
    ],
)
def test_slow_answers_arrive_whole(receiver: Receiver, behaviour: Behaviour, least: float) -> None:
    receiver.behave("/x", behaviour)
    started = time.monotonic()

    assert post(receiver, message("dlv_a")).status_code == 200
    assert time.monotonic() - started >= least


def test_reset_and_hang_give_no_answer(receiver: Receiver) -> None:
    receiver.behave("/x", Behaviour(Mode.RESET))
    receiver.behave("/y", Behaviour(Mode.HANG))

    with pytest.raises(requests.ConnectionError):
        post(receiver, message("dlv_a"))
    with pytest.raises(requests.Timeout):
        post(receiver, message("dlv_b"), "/y", timeout=0.3)
    assert receiver.ledger("/x").stats()["delivered"] == 0


# --- HTTP -----------------------------------------------------------------------------------------


def talk(receiver: Receiver, *parts: bytes) -> bytes:
    """Send bytes piece by piece and return everything that comes back."""
    with socket.create_connection((receiver.host, receiver.port), timeout=5) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(0.02)
        client.shutdown(socket.SHUT_WR)
        received = b""
        while data := client.recv(65_536):
            received += data
        return received


@pytest.fixture
def plain() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_a_request_may_come_in_pieces_and_two_in_one(plain: Receiver) -> None:
    one = b"POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"

    pieces = talk(plain, one[:9], one[9:40], one[40:])
    together = talk(plain, one + one)

    assert pieces.count(b"HTTP/1.1 200 OK") == 1
    assert together.count(b"HTTP/1.1 200 OK") == 2
    assert [entry.body for entry in plain.entries("/x")] == [b"hello"] * 3


def test_answers_keep_their_order_when_one_is_slow(plain: Receiver) -> None:
    plain.script("/x", Reply(201, delay=0.2), Reply(202))
    one = b"POST /x HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
    with socket.create_connection((plain.host, plain.port), timeout=5) as client:
        client.sendall(one + one)
        received = b""
        while received.count(b"\r\n\r\n") < 2:
            received += client.recv(65_536)

    assert received.index(b"201") < received.index(b"202")


def test_a_client_that_asks_first_is_told_to_go_on(plain: Receiver) -> None:
    head = b"POST /x HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"

    assert talk(plain, head, b"{}").startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /x HTTP/1.1\r\ncontent-length: -1\r\n\r\n", b"400"),
        (b"POST /x HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", b"413"),
        (b"POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST /x HTTP/1.1\r\nx: " + b"a" * 70_000, b"431"),
    ],
)
def test_what_it_does_not_speak_is_refused(plain: Receiver, raw: bytes, status: bytes) -> None:
    assert talk(plain, raw).startswith(b"HTTP/1.1 " + status)
    assert plain.entries("/x") == []


def test_a_taken_port_is_an_error_at_once(plain: Receiver) -> None:
    with pytest.raises(OSError, match="in use"):
        Receiver(port=plain.port).start()


# --- Receipts -------------------------------------------------------------------------------------


def test_one_signed_receipt_for_each_accepted_delivery() -> None:
    with Receiver() as console:
        key = generate_signing_secret()
        target = Target(console.url("/api/{path}/receipts/"), key, "received")
        with Receiver(options=Options(receipts=target)) as receiver:
            receiver.script("/coupons", Reply(503))
            for body in (message("dlv_a"), message("dlv_a"), message("dlv_a"), message("dlv_b")):
                requests.post(receiver.url("/coupons"), data=body, timeout=5)
            wait_for(lambda: receiver.stats()["receipts"]["sent"] == 2)
            assert receiver.stats()["receipts"]["pending"] == 0

        items = []
        for entry in console.entries("/api/coupons/receipts/"):
            assert verify([key], entry.headers, entry.body, now=time.time())
            items += json.loads(entry.body)["receipts"]
    assert [(item["delivery_id"], item["code"]) for item in items] == [
        ("dlv_a", "received"),
        ("dlv_b", "received"),
    ]
    assert all(item["occurred_at"].endswith("+00:00") for item in items)


def test_receipts_go_in_thousands_with_a_plain_key_and_are_tried_again() -> None:
    with Receiver() as console:
        console.script("/r", Reply(503), Reply(reset=True))
        receiver = Receiver(options=Options(receipts=Target(console.url("/r"), "plain")))
        with receiver:
            ids = [f"dlv_{number}" for number in range(1_500)]
            requests.post(receiver.url("/x"), data=message(*ids), timeout=5)
        # Stopping reports what was left.
        entries = [entry for entry in console.entries("/r") if entry.status == 200 and entry.body]
        sizes = [len(json.loads(entry.body)["receipts"]) for entry in entries]
        assert receiver.stats()["receipts"]["sent"] == len(ids)

    assert all(entry.headers["authorization"] == "Bearer plain" for entry in entries)
    assert sizes[-2:] == [1_000, 500] or sorted(sizes) == [500, 1_000, 1_000]


# --- The command ----------------------------------------------------------------------------------


class Running:
    """The command in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "receiver", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Listening at "), line
        self.url = line.split()[-1].rstrip("/")
        return self

    def end(self, by: signal.Signals = signal.SIGTERM) -> list[str]:
        self.process.send_signal(by)
        output, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, errors
        return output.splitlines()

    def __exit__(self, *raised: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_writes_and_sums_up(tmp_path: Path, by: signal.Signals) -> None:
    written = tmp_path / "requests.jsonl"
    with Running("--print", "--write", str(written), "--content-template", TEMPLATE) as running:
        requests.post(f"{running.url}/coupons", data=message("dlv_a", text="优惠"), timeout=5)
        lines = running.end(by)

    assert lines[0] == "/coupons (no webhook-id) signature unchecked -> 200"
    assert lines[1] == "    138: Discount activity at 优惠"
    assert json.loads(lines[-1])["ledgers"]["/coupons"]["delivered"] == 1
    (line,) = written.read_text().splitlines()
    assert json.loads(line)["contents"] == ["Discount activity at 优惠"]


def test_the_configuration_is_read_again_when_it_changes(tmp_path: Path) -> None:
    config = tmp_path / "receiver.json"
    config.write_text(json.dumps({"ledgers": {"/x": {"mode": "failing", "status": 418}}}))
    with Running("--config", str(config)) as running:

        def status() -> int:
            return requests.post(f"{running.url}/x", data=b"{}", timeout=5).status_code

        wait_for(lambda: status() == 418)
        config.write_text("{")
        os.utime(config, (1, 1))
        time.sleep(1.5)
        assert status() == 418
        config.write_text(json.dumps({"ledgers": {"/x": {"secrets": [SECRET]}}}))
        wait_for(lambda: status() == 401)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--receipts", "http://127.0.0.1/"],
        ["--secret", "not base64!"],
        ["--secret-env", "NO_SUCH_VARIABLE_HERE"],
        ["--secret-file", "/no/such/file"],
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: Sequence[str]) -> None:
    with pytest.raises(CommandError, match=r"\.$"):
        call_command("receiver", *arguments)


def test_a_taken_port_is_one_sentence(plain: Receiver) -> None:
    """In a process of its own: a browser test before may have left its event loop in this one."""
    command = [sys.executable, "manage.py", "receiver", "--port", str(plain.port)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 1
    assert "choose --port" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
