"""The sending, against a real receiver: hostile answers, refused addresses, kept connections."""

import gzip
import os
import resource
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pytest_django import Settings

from webhooks import headers
from webhooks.answers import Outcome
from webhooks.egress import Policy, Refusal
from webhooks.receiver import Receiver, Reply
from webhooks.transport import ANSWER_BYTES, Answer, CurlTransport, Request, send_one

LOOPBACK = Policy.of(["127.0.0.1/32"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def request(url: str, **changes: Any) -> Request:
    return Request(url, headers.lines({}), b'{"a":1}', **({"timeout": 5.0} | changes))


def send(receiver: Receiver, *replies: Reply, **changes: Any) -> Answer:
    receiver.script("/x", *replies)
    return send_one(request(receiver.url("/x"), **changes), rules=LOOPBACK)


def drain(transport: CurlTransport) -> list[Answer]:
    answers: list[Answer] = []
    while transport.open:
        answers += transport.poll(1.0)
    return answers


# --- What goes out --------------------------------------------------------------------------------


def test_exactly_the_given_bytes_and_headers_go_out(receiver: Receiver) -> None:
    body = '{"text":"张三 \\u0000"}\x00'.encode()
    lines = [*headers.lines({"x-qa-test": "false"}, {"X-Key": "k"}), "webhook-id: msg_1"]

    send_one(Request(receiver.url("/x?a=b"), lines, body), rules=LOOPBACK)

    (entry,) = receiver.entries("/x")
    assert entry.body == body
    assert entry.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "accept": "*/*",
        "content-type": "application/json",
        "user-agent": headers.USER_AGENT,
        "x-qa-test": "false",
        "x-key": "k",
        "webhook-id": "msg_1",
        "content-length": str(len(body)),
    }


def test_a_body_of_two_megabytes_goes_out_without_asking(receiver: Receiver) -> None:
    body = b"x" * 2_000_000

    answer = send_one(Request(receiver.url("/x"), headers.lines({}), body), rules=LOOPBACK)

    assert answer.status == 200
    assert receiver.entries("/x")[0].body == body
    assert "expect" not in receiver.entries("/x")[0].headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_the_method_is_the_webhooks(receiver: Receiver, method: str) -> None:
    assert send(receiver, Reply(201), method=method).status == 201


def test_proxies_and_netrc_of_the_environment_are_ignored(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NO_PROXY", raising=False)

    assert send(receiver).status == 200
    assert "authorization" not in receiver.entries("/x")[0].headers


# --- Answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", [200, 204, 301, 307, 400, 401, 404, 409, 410, 429, 500, 503, 599]
)
def test_a_status_is_an_answer(receiver: Receiver, status: int) -> None:
    answer = send(receiver, Reply(status, b"because"))

    assert (answer.outcome, answer.status) == (Outcome.ANSWERED, status)
    assert answer.body == (b"" if status == 204 else b"because")


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with Receiver() as other:
        for target in (other.url("/y"), "file:///etc/passwd", receiver.url("/x")):
            answer = send(receiver, Reply(302, headers={"location": target}))
            assert answer.status == 302
        assert other.connections_made == 0
    assert len(receiver.entries("/x")) == 3


@pytest.mark.parametrize(
    "reply",
    [
        Reply(drip=0.1, body=b"x" * 1000),
        Reply(hang=True),
        Reply(delay=5),
        Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", close=False, drip=0.1),
    ],
    ids=["drip", "hang", "slow", "drip raw"],
)
def test_a_slow_answer_is_cut_at_the_deadline(receiver: Receiver, reply: Reply) -> None:
    started = time.monotonic()

    answer = send(receiver, reply, timeout=0.6)

    assert answer.outcome is Outcome.READ_TIMEOUT
    assert 0.5 < time.monotonic() - started < 2.0
    assert 500 < answer.milliseconds < 1_500


def test_what_came_in_time_counts_though_nobody_looked(receiver: Receiver) -> None:
    """While the database is slow the sender is away from the network."""
    receiver.script("/x", Reply(delay=0.3), Reply(delay=30.0))
    url = receiver.url("/x")
    with CurlTransport(slots=1, rules=LOOPBACK) as transport:
        transport.submit(Request(url, headers.lines({}), b"{}", timeout=1), None)
        transport.poll(0.1)
        time.sleep(1.2)
        (answer,) = transport.poll(1)
        assert answer.status == 200
        # It gives back no more than that, and only to what was open then.
        time.sleep(1.2)
        transport.submit(Request(url, headers.lines({}), b"{}", timeout=1), None)
        started = time.monotonic()
        while not (answers := transport.poll(1)):
            pass

    assert [each.outcome for each in answers] == [Outcome.READ_TIMEOUT]
    assert 0.9 < time.monotonic() - started < 1.5


def test_what_came_in_time_counts_though_the_process_was_frozen(receiver: Receiver) -> None:
    receiver.script("/x", Reply(delay=0.3))
    pid = os.getpid()
    freeze = f"sleep 0.1; kill -STOP {pid}; sleep 1.5; kill -CONT {pid}"

    with CurlTransport(slots=1, rules=LOOPBACK) as transport:
        transport.submit(request(receiver.url("/x"), timeout=0.8), None)
        with subprocess.Popen(["/bin/sh", "-c", freeze]):
            answers = transport.poll(0.05)
            while transport.open:
                answers += transport.poll(0.05)

    assert [answer.outcome for answer in answers] == [Outcome.ANSWERED]


def test_a_drip_in_the_body_does_not_stretch_the_deadline(receiver: Receiver) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n"
    started = time.monotonic()

    answer = send(receiver, Reply(raw=head + b"x" * 9_000, drip=0.0005), timeout=1.0)

    assert answer.outcome is Outcome.READ_TIMEOUT
    assert time.monotonic() - started < 2.5


@pytest.mark.parametrize("recipients", [1, 50])
def test_a_big_answer_is_capped_and_judged_by_its_status(
    receiver: Receiver, recipients: int
) -> None:
    limit = ANSWER_BYTES + 1024 * recipients

    whole = send(receiver, Reply(body=b"y" * limit), recipients=recipients)
    cut = send(receiver, Reply(body=b"y" * (limit + 1)), recipients=recipients)
    endless = send(receiver, Reply(201, body=b"z" * 50_000, endless=True), recipients=recipients)

    assert (whole.status, len(whole.body), whole.truncated) == (200, limit, False)
    assert (cut.status, len(cut.body), cut.truncated) == (200, limit, True)
    assert (endless.outcome, endless.status, endless.truncated) == (Outcome.ANSWERED, 201, True)


def test_an_answer_is_not_decompressed(receiver: Receiver) -> None:
    bomb = gzip.compress(b"\x00" * 20_000_000)

    answer = send(receiver, Reply(body=bomb, headers={"content-encoding": "gzip"}))

    assert answer.body == bomb


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n" + b"x-a: 1\r\n" * 200_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" * 50_000,
    ],
    ids=["many headers", "long header", "endless 1xx"],
)
def test_too_many_headers_end_the_request(receiver: Receiver, raw: bytes) -> None:
    answer = send(receiver, Reply(raw=raw))

    assert answer.truncated or answer.outcome in (Outcome.BROKEN_ANSWER, Outcome.RESET)
    assert answer.body == b""
    assert answer.milliseconds < 4_000


@pytest.mark.parametrize(
    "headers",
    [{"x-long": "y" * 1_000_000}, {f"x-{number}": "y" * 20 for number in range(10_000)}],
    ids=["one line", "many lines"],
)
def test_headers_without_end_are_judged_by_their_status(
    receiver: Receiver, headers: dict[str, str]
) -> None:
    answer = send(receiver, Reply(headers=headers))

    assert (answer.outcome, answer.status, answer.truncated) == (Outcome.ANSWERED, 200, True)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(reset=True), Outcome.RESET),
        (Reply(raw=b""), Outcome.RESET),
        (Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"), Outcome.RESET),
        (Reply(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), Outcome.RESET),
        (Reply(raw=b"220 mail.example.com ESMTP\r\n"), Outcome.BROKEN_ANSWER),
        (Reply(raw=b"\x00\xff" * 500), Outcome.BROKEN_ANSWER),
    ],
    ids=["reset", "closed", "short body", "bad chunk", "smtp", "garbage"],
)
def test_a_broken_answer_has_a_class(receiver: Receiver, reply: Reply, outcome: Outcome) -> None:
    answer = send(receiver, reply)

    assert answer.outcome is outcome
    assert answer.status is None


def test_retry_after_lines_come_along(receiver: Receiver) -> None:
    raw = b"HTTP/1.1 503 x\r\nretry-after: soon\r\nRetry-After: 7\r\ncontent-length: 0\r\n\r\n"

    answer = send(receiver, Reply(raw=raw))

    assert answer.retry_after == ["soon", "7"]
    assert answer.header_lines[0] == "HTTP/1.1 503 x"


def test_what_is_kept_of_an_answer_is_text_that_a_database_takes(receiver: Receiver) -> None:
    answer = send(receiver, Reply(body=b"\xff\x00" + "张".encode() * 3_000))

    assert answer.kept.startswith("��张")
    assert len(answer.kept.encode()) < 4_200


# --- Where to -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.2:{port}/x", Refusal.PRIVATE),
        ("http://127.1.1.1:{port}/x", Refusal.PRIVATE),
        ("http://0.0.0.0:{port}/x", Refusal.PRIVATE),
        ("http://[::1]:{port}/x", Refusal.PRIVATE),
        ("http://[::ffff:127.0.0.2]:{port}/x", Refusal.PRIVATE),
        ("http://169.254.169.254/latest/meta-data/", Refusal.METADATA),
        ("https://10.0.0.1/x", Refusal.PRIVATE),
        ("http://8.8.8.8/x", Refusal.PLAIN_HTTP),
        ("https://8.8.8.8:25/x", Refusal.PORT),
    ],
)
def test_a_refused_address_gets_no_socket(receiver: Receiver, url: str, why: Refusal) -> None:
    answer = send_one(request(url.format(port=receiver.port)), rules=LOOPBACK)

    assert (answer.outcome, answer.refusal, answer.status) == (Outcome.EGRESS, why, None)
    assert receiver.connections_made == 0


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "localhost"])
def test_other_spellings_meet_the_same_check(receiver: Receiver, host: str) -> None:
    url = f"http://{host}:{receiver.port}/x"

    assert send_one(request(url), rules=Policy()).outcome is Outcome.EGRESS
    assert receiver.connections_made == 0
    assert send_one(request(url), rules=LOOPBACK).status == 200


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/"])
def test_no_other_protocol_is_spoken(url: str) -> None:
    answer = send_one(request(url), rules=LOOPBACK)

    assert answer.outcome is not Outcome.ANSWERED
    assert answer.body == b""


def test_nobody_listening_and_no_such_name() -> None:
    with Receiver() as gone:
        url = gone.url("/x")

    assert send_one(request(url), rules=LOOPBACK).outcome is Outcome.REFUSED
    assert send_one(request("http://no-such-host.invalid/")).outcome is Outcome.DNS


# --- TLS ------------------------------------------------------------------------------------------


def certificate(
    folder: Path, *, name: str = "127.0.0.1", ended: bool = False
) -> tuple[ssl.SSLContext, Path]:
    """Make a server's context with a certificate of its own, and the file that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=-1 if ended else 1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    return context, cert_file


def test_a_trusted_certificate_is_accepted(tmp_path: Path, settings: Settings) -> None:
    context, trusted = certificate(tmp_path)
    settings.EGRESS_CA_FILE = str(trusted)

    with Receiver(tls=context) as receiver:
        assert send(receiver, Reply(201)).status == 201


@pytest.mark.parametrize(
    ("is_trusted", "changes"),
    [(False, {}), (True, {"ended": True}), (True, {"name": "127.0.0.9"})],
    ids=["self-signed", "expired", "another name's"],
)
def test_a_bad_certificate_ends_it_before_anything_is_sent(
    tmp_path: Path, settings: Settings, is_trusted: bool, changes: dict[str, Any]
) -> None:
    context, trusted = certificate(tmp_path, **changes)
    if is_trusted:
        settings.EGRESS_CA_FILE = str(trusted)

    with Receiver(tls=context) as receiver:
        answer = send(receiver)

        assert answer.outcome is Outcome.CERTIFICATE
        assert receiver.entries("/x") == []


def test_certificates_of_the_environment_are_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, own = certificate(tmp_path)
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(own))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    with Receiver(tls=context) as receiver:
        assert send(receiver).outcome is Outcome.CERTIFICATE
        assert receiver.entries("/x") == []


def test_a_port_that_speaks_no_tls_is_a_broken_handshake() -> None:
    with Receiver() as receiver:
        url = f"https://127.0.0.1:{receiver.port}/x"

        answer = send_one(request(url, timeout=0.5), rules=LOOPBACK)

    # It waits for the end of a request that never comes; others answer in plain text.
    assert answer.outcome in (Outcome.HANDSHAKE, Outcome.CONNECT_TIMEOUT)


# --- Many at once ---------------------------------------------------------------------------------


def test_every_request_is_answered_once_under_its_token(receiver: Receiver) -> None:
    receiver.script("/x", *[Reply(200 + number % 5) for number in range(300)])
    answers: list[Answer] = []

    with CurlTransport(slots=20, rules=LOOPBACK) as transport:
        waiting = list(range(300))
        while waiting or transport.open:
            while waiting and transport.free:
                transport.submit(request(receiver.url("/x")), waiting.pop())
            assert transport.open <= 20
            answers += transport.poll(1.0)

    assert sorted(answer.token for answer in answers) == list(range(300))
    assert all(answer.outcome is Outcome.ANSWERED for answer in answers)
    assert receiver.connections_made <= 20


def test_slow_ones_are_waited_for_together(receiver: Receiver) -> None:
    receiver.script("/x", *[Reply(delay=0.4)] * 20)
    started = time.monotonic()

    with CurlTransport(slots=20, rules=LOOPBACK) as transport:
        for number in range(20):
            transport.submit(request(receiver.url("/x")), number)
        answers = drain(transport)

    assert len(answers) == 20
    assert time.monotonic() - started < 3


def test_one_hanging_request_holds_up_no_other(receiver: Receiver) -> None:
    receiver.script("/hang", Reply(hang=True))

    with CurlTransport(slots=2, rules=LOOPBACK) as transport:
        transport.submit(request(receiver.url("/hang"), timeout=0.8), "hangs")
        transport.submit(request(receiver.url("/x")), "fine")
        outcomes = {answer.token: answer.outcome for answer in drain(transport)}

    assert outcomes == {"hangs": Outcome.READ_TIMEOUT, "fine": Outcome.ANSWERED}


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_a_name_is_looked_up_once_for_all_who_wait_for_it(receiver: Receiver) -> None:
    named = receiver.url("/x").replace("127.0.0.1", "localhost")
    before = threads()

    with CurlTransport(slots=41, rules=LOOPBACK) as transport:
        for number in range(20):
            transport.submit(request("http://no-such-host.invalid/"), number)
            transport.submit(request(named), 100 + number)
        transport.submit(request(receiver.url("/x")), 200)
        answers = transport.poll(0.001)
        # A thread for each of both names, where forty would take all there are.
        assert threads() - before <= 2
        answers += drain(transport)

    outcomes = {answer.token: answer.outcome for answer in answers}
    assert len(outcomes) == len(answers) == 41
    assert {outcomes[number] for number in range(20)} == {Outcome.DNS}
    assert {outcomes[number] for number in (*range(100, 120), 200)} == {Outcome.ANSWERED}


def test_connections_are_kept_and_replaced_when_the_other_side_closed(receiver: Receiver) -> None:
    with CurlTransport(slots=1, rules=LOOPBACK) as transport:
        for reply in (Reply(), Reply(), Reply(close=True), Reply(), Reply(503), Reply()):
            receiver.script("/x", reply)
            transport.submit(request(receiver.url("/x")), None)
            (answer,) = drain(transport)
            assert answer.status == reply.status

    assert receiver.connections_made == 2


def test_at_most_once_uses_a_connection_of_its_own_and_repeats_nothing(receiver: Receiver) -> None:
    with CurlTransport(slots=1, rules=LOOPBACK) as transport:
        for _each in range(3):
            transport.submit(request(receiver.url("/x"), fresh=True), None)
            drain(transport)
        receiver.script("/x", Reply(reset=True))
        transport.submit(request(receiver.url("/x"), fresh=True), None)
        (answer,) = drain(transport)

    assert receiver.connections_made == 4
    assert len(receiver.entries("/x")) == 4
    assert answer.outcome is Outcome.RESET


def test_a_handle_keeps_nothing_of_the_request_before(receiver: Receiver) -> None:
    receiver.script("/x", Reply(503, b"first", headers={"retry-after": "9"}))

    with CurlTransport(slots=1, rules=LOOPBACK) as transport:
        transport.submit(request(receiver.url("/x"), timeout=1.0, fresh=True, method="PUT"), 1)
        drain(transport)
        transport.submit(Request(receiver.url("/y"), ["x-b: 2"], b"second"), 2)
        (answer,) = drain(transport)

    assert (answer.status, answer.body, answer.retry_after) == (200, b"", [])
    (entry,) = receiver.entries("/y")
    assert entry.body == b"second"
    assert "content-type" not in entry.headers or "json" not in entry.headers["content-type"]


def test_nothing_is_queued_inside(receiver: Receiver) -> None:
    with CurlTransport(slots=1, rules=LOOPBACK) as transport:
        assert transport.poll(5.0) == []
        transport.submit(request(receiver.url("/x")), None)
        assert transport.free == 0
        with pytest.raises(RuntimeError, match="slot"):
            transport.submit(request(receiver.url("/x")), None)


def test_a_transport_stays_in_the_process_that_made_it(receiver: Receiver) -> None:
    with CurlTransport(slots=1, rules=LOOPBACK) as transport:
        transport._pid += 1
        with pytest.raises(RuntimeError, match="process"):
            transport.submit(request(receiver.url("/x")), None)


def test_poll_waits_no_longer_than_it_was_told(receiver: Receiver) -> None:
    receiver.script("/x", Reply(hang=True))

    with CurlTransport(slots=1, rules=LOOPBACK) as transport:
        transport.submit(request(receiver.url("/x")), None)
        started = time.monotonic()
        assert transport.poll(0.2) == []
        assert 0.15 < time.monotonic() - started < 1.0


def test_descriptors_beyond_what_select_can_watch_still_work(receiver: Receiver) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    receiver.script("/x", Reply(delay=0.2))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _each in range(1_200):
            stack.enter_context(Path(os.devnull).open())

        used = time.process_time()
        assert send_one(request(receiver.url("/x")), rules=LOOPBACK).status == 200
        assert time.process_time() - used < 0.15  # It slept, it did not spin.


def test_closing_gives_up_what_is_open(receiver: Receiver) -> None:
    receiver.script("/x", Reply(hang=True))
    transport = CurlTransport(slots=1, rules=LOOPBACK)
    transport.submit(request(receiver.url("/x")), None)
    transport.poll(0.1)

    transport.close()

    assert transport.open == 0
