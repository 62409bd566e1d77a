"""The sending: libcurl's multi handle behind the egress door.

Make a transport after the process has forked, use it from one thread, close it. It never
queues inside libcurl, where a waiting request would use up its deadline unsent: a caller
submits only while ``free`` is above 0.
"""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, Protocol, Self

import certifi
import pycurl
from django.conf import settings

from webhooks import egress
from webhooks.answers import Outcome
from webhooks.egress import Policy, Refusal
from webhooks.headers import USER_AGENT
from webhooks.lookups import KNOWN_SECONDS, Lookups

CONNECT_SECONDS: Final = 3.0
TIMEOUT_SECONDS: Final = 10.0
ANSWER_BYTES: Final = 64 * 1024
ANSWER_BYTES_PER_RECIPIENT: Final = 1024
KEPT_BYTES: Final = 4 * 1024
HEADER_BYTES: Final = 64 * 1024
SLOTS: Final = 100

_E_HTTP2_STREAM: Final = 92  # pycurl has no name for these two.
_E_TOO_LARGE: Final = 100  # One header line beyond libcurl's own limit.

_OUTCOMES: Final[Mapping[int, Outcome]] = {
    pycurl.E_COULDNT_RESOLVE_HOST: Outcome.DNS,
    pycurl.E_COULDNT_CONNECT: Outcome.REFUSED,
    pycurl.E_SSL_CONNECT_ERROR: Outcome.HANDSHAKE,
    pycurl.E_SSL_CIPHER: Outcome.HANDSHAKE,
    pycurl.E_USE_SSL_FAILED: Outcome.HANDSHAKE,
    pycurl.E_PEER_FAILED_VERIFICATION: Outcome.CERTIFICATE,
    pycurl.E_SSL_ISSUER_ERROR: Outcome.CERTIFICATE,
    pycurl.E_SSL_INVALIDCERTSTATUS: Outcome.CERTIFICATE,
    pycurl.E_SSL_CACERT_BADFILE: Outcome.CERTIFICATE,
    pycurl.E_SEND_ERROR: Outcome.RESET,
    pycurl.E_RECV_ERROR: Outcome.RESET,
    pycurl.E_GOT_NOTHING: Outcome.RESET,
    pycurl.E_PARTIAL_FILE: Outcome.RESET,
    pycurl.E_HTTP2: Outcome.RESET,
    _E_HTTP2_STREAM: Outcome.RESET,
    pycurl.E_URL_MALFORMAT: Outcome.INVALID,
}


@dataclass(slots=True)
class Request:
    """One HTTP request, ready to go out.

    Args:
        headers: lines as ``webhooks.headers`` makes them.
        timeout: seconds for the whole of it, from looking up the name to the answer's end.
        recipients: people in it; the more, the longer an answer is read.
        fresh: at most once, so on a connection of its own, where libcurl repeats nothing.
    """

    url: str
    headers: Sequence[str]
    body: bytes
    timeout: float = TIMEOUT_SECONDS
    recipients: int = 1
    method: str = "POST"
    fresh: bool = False


@dataclass(slots=True)
class Answer:
    """How a request ended. Holds no address, so that it may be shown to those who may not know any.

    Args:
        token: what ``submit`` was given.
        body: what was read of the answer, undecoded; up to 64 KB and 1 KB a recipient.
        truncated: the answer went on; it is judged by its status.
        retry_after: the values of the ``Retry-After`` lines.
        header_lines: of the answer, where they were asked for.
    """

    token: Any
    outcome: Outcome
    status: int | None
    milliseconds: int
    body: bytes = b""
    truncated: bool = False
    retry_after: list[str] = field(default_factory=list)
    refusal: Refusal | None = None
    header_lines: list[str] = field(default_factory=list)

    @property
    def kept(self) -> str:
        """Return what is stored of the answer: 4 KB of text that a database takes."""
        return self.body[:KEPT_BYTES].decode("utf-8", "replace").replace("\x00", "�")


class Transport(Protocol):
    """What the engine sends with; tests may bring another."""

    @property
    def free(self) -> int:
        """How many requests can be submitted now."""

    @property
    def open(self) -> int:
        """How many requests have not ended yet."""

    def submit(self, request: Request, token: Any) -> None:
        """Start a request; its answer carries the token."""

    def poll(self, timeout: float) -> list[Answer]:
        """Return the answers that came in; wait for the first one ``timeout`` seconds at most."""

    def close(self) -> None:
        """Give up what is open and close all connections."""


# A time away from the network that is worth giving back.
AWAY_SECONDS: Final = 0.25


def _ca_file() -> str:
    return str(getattr(settings, "EGRESS_CA_FILE", "") or certifi.where())


class _Socket(socket.socket):
    """pycurl duplicates the descriptor and drops the object: close this one without a warning."""

    def __del__(self) -> None:
        self.close()


class _Slot:
    """One easy handle, used again and again, and what its request brings in."""

    __slots__ = (
        "answer_limit",
        "chunks",
        "curl",
        "deadline",
        "fresh",
        "has_address",
        "header_lines",
        "header_size",
        "host",
        "keep_headers",
        "method",
        "opened_at",
        "refusal",
        "retry_after",
        "rules",
        "scheme",
        "size",
        "token",
        "url",
    )

    def __init__(self, rules: Policy, *, keep_headers: bool) -> None:
        self.rules = rules
        self.keep_headers = keep_headers
        self.curl = self._handle()
        self.url = self.method = self.scheme = self.host = ""
        self.deadline = self.opened_at = 0.0
        self.fresh = False
        self.token: Any = None
        self.answer_limit = 0
        self._reset()

    def _reset(self) -> None:
        self.chunks: list[bytes] = []
        self.size = self.header_size = 0
        self.retry_after: list[str] = []
        self.header_lines: list[str] = []
        self.refusal: Refusal | None = None
        self.has_address = False

    def _handle(self) -> Any:
        curl = pycurl.Curl()
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROXY, ""),  # Also switches the proxies of the environment off.
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (pycurl.HTTP_CONTENT_DECODING, 0),
            (pycurl.HTTP09_ALLOWED, 0),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
            (pycurl.CONNECTTIMEOUT_MS, int(CONNECT_SECONDS * 1000)),
            (pycurl.DNS_CACHE_TIMEOUT, int(KNOWN_SECONDS)),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.CAINFO, _ca_file()),
            (pycurl.USERAGENT, USER_AGENT),
            (pycurl.POST, 1),
            (pycurl.OPENSOCKETFUNCTION, self.open_socket),
            (pycurl.WRITEFUNCTION, self.read_body),
            (pycurl.HEADERFUNCTION, self.read_header),
        ):
            curl.setopt(option, value)
        return curl

    # --- What libcurl calls -----------------------------------------------------------------------

    def open_socket(self, purpose: int, address: Any) -> Any:
        """Open a socket to an address that may be reached; libcurl tries the next one otherwise."""
        self.has_address = True
        try:
            host, port = address.addr[0], address.addr[1]
        except (AttributeError, IndexError, TypeError):
            self.refusal = Refusal.NO_ADDRESS
            return pycurl.SOCKET_BAD
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        why = egress.refusal(host, port, scheme=self.scheme, rules=self.rules)
        if why is not None:
            self.refusal = why
            return pycurl.SOCKET_BAD
        return _Socket(address.family, address.socktype, address.protocol)

    def read_body(self, data: bytes) -> int | None:
        """Keep what comes in up to the limit; then end the transfer."""
        self.size += len(data)
        self.chunks.append(data)
        return -1 if self.size > self.answer_limit else None

    def read_header(self, line: bytes) -> int | None:
        self.header_size += len(line)
        if self.header_size > HEADER_BYTES:
            return -1
        if line[:1] in b"rR" and line[:12].lower() == b"retry-after:":
            self.retry_after.append(line[12:].decode("latin-1").strip())
        if self.keep_headers:
            self.header_lines.append(line.decode("latin-1").rstrip())
        return None

    # --- Before and after -------------------------------------------------------------------------

    def prepare(self, request: Request, token: Any) -> None:
        """Set what differs from the request before."""
        curl = self.curl
        self._reset()
        self.token = token
        self.opened_at = time.monotonic()
        self.answer_limit = ANSWER_BYTES + ANSWER_BYTES_PER_RECIPIENT * request.recipients
        if request.url != self.url:
            curl.setopt(pycurl.URL, request.url)
            self.url = request.url
            self.scheme = request.url.partition(":")[0].lower()
            self.host = request.url.partition("://")[2].partition("/")[0]
        if request.method != self.method:
            curl.setopt(pycurl.CUSTOMREQUEST, request.method)
            self.method = request.method
        if request.timeout != self.deadline:
            curl.setopt(pycurl.TIMEOUT_MS, max(1, int(request.timeout * 1000)))
            self.deadline = request.timeout
        if request.fresh != self.fresh:
            curl.setopt(pycurl.FRESH_CONNECT, request.fresh)
            curl.setopt(pycurl.FORBID_REUSE, request.fresh)
            version = "CURL_HTTP_VERSION_1_1" if request.fresh else "CURL_HTTP_VERSION_2TLS"
            curl.setopt(pycurl.HTTP_VERSION, getattr(pycurl, version))
            self.fresh = request.fresh
        # "Expect:" without a value keeps curl from asking before a body over 1 MB.
        curl.setopt(pycurl.HTTPHEADER, [*request.headers, "Expect:"])
        curl.setopt(pycurl.POSTFIELDS, request.body)

    def extend(self, seconds: float) -> None:
        """Put the deadline of the open request off, or draw it nearer."""
        self.deadline = max(0.001, self.deadline + seconds)
        self.curl.setopt(pycurl.TIMEOUT_MS, int(self.deadline * 1000))

    @property
    def has_connection(self) -> bool:
        return bool(self.curl.getinfo(pycurl.REQUEST_SIZE))  # Of what was sent.

    def answer(self, code: int) -> Answer:
        """Read how the transfer ended; ``code`` is libcurl's, 0 for a complete answer."""
        curl = self.curl
        status = curl.getinfo(pycurl.RESPONSE_CODE) or None
        capped = code in (pycurl.E_WRITE_ERROR, _E_TOO_LARGE) and status is not None
        outcome = Outcome.ANSWERED if code == 0 or capped else self._outcome(code)
        return Answer(
            token=self.token,
            outcome=outcome,
            status=status if outcome is Outcome.ANSWERED else None,
            milliseconds=int(curl.getinfo(pycurl.TOTAL_TIME) * 1000),
            body=b"".join(self.chunks)[: self.answer_limit],
            truncated=capped,
            retry_after=self.retry_after,
            refusal=self.refusal if outcome is Outcome.EGRESS else None,
            header_lines=self.header_lines,
        )

    def _outcome(self, code: int) -> Outcome:
        if code == pycurl.E_COULDNT_CONNECT and self.refusal is not None:
            return Outcome.EGRESS
        if code == pycurl.E_OPERATION_TIMEDOUT:
            if self.has_connection:
                return Outcome.READ_TIMEOUT
            looked_up = self.curl.getinfo(pycurl.NAMELOOKUP_TIME)
            return Outcome.CONNECT_TIMEOUT if looked_up else Outcome.DNS
        return _OUTCOMES.get(code, Outcome.BROKEN_ANSWER)


class CurlTransport:
    """Sends with up to ``slots`` requests open at a time, on kept connections."""

    def __init__(
        self, *, slots: int = SLOTS, rules: Policy | None = None, keep_headers: bool = False
    ) -> None:
        """Open nothing yet.

        Args:
            slots: at most so many requests open; each holds a socket.
            rules: where to; the operator's policy when None.
            keep_headers: bring the answers' header lines too.
        """
        self._pid = os.getpid()
        self._rules = egress.policy() if rules is None else rules
        self._keep_headers = keep_headers
        self._limit = slots
        self._idle: list[_Slot] = []
        self._busy: dict[Any, _Slot] = {}
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, slots)
        self._polled_at = 0.0
        self._lookups = Lookups[_Slot]()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def free(self) -> int:
        return self._limit - len(self._busy)

    @property
    def open(self) -> int:
        return len(self._busy)

    def submit(self, request: Request, token: Any) -> None:
        """Start a request.

        Raises:
            RuntimeError: no slot is free, or the process has forked since the transport was made.
        """
        if len(self._busy) >= self._limit:
            raise RuntimeError("no slot is free")
        if os.getpid() != self._pid:
            raise RuntimeError("the transport belongs to another process")
        slot = (
            self._idle.pop() if self._idle else _Slot(self._rules, keep_headers=self._keep_headers)
        )
        slot.prepare(request, token)
        self._busy[slot.curl] = slot
        if self._lookups.may_go(slot, now=slot.opened_at):
            self._multi.add_handle(slot.curl)

    def poll(self, timeout: float) -> list[Answer]:
        """Move all requests on and return the answers that are complete.

        Waits until something happens, ``timeout`` seconds at most; with nothing open it
        returns at once.
        """
        try:
            self._forgive(self._polled_at)
            return self._poll(timeout)
        finally:
            self._polled_at = time.monotonic()

    def _forgive(self, since: float) -> None:
        """Give requests back the time since then in which we did not look.

        The database was slow, or this process was frozen while it waited.

        libcurl looks at the clock before the socket: what came in time would be too late.
        """
        now = time.monotonic()
        if now - since > AWAY_SECONDS:
            for slot in self._busy.values():
                slot.extend(now - max(since, slot.opened_at))

    def _poll(self, timeout: float) -> list[Answer]:
        found = self._perform()
        if found or not self._busy:
            return found
        until = time.monotonic() + timeout
        while not found:
            wait = until - time.monotonic()
            if wait <= 0:
                break
            self._wait(wait)
            self._forgive(until)
            found = self._perform()
        return found

    def _perform(self) -> list[Answer]:
        self._multi.perform()
        self._start(self._lookups.found(now=time.monotonic()))
        return self._read()

    def _start(self, slots: Sequence[_Slot]) -> None:
        """Let those out who waited for their name; the wait was part of their time."""
        now = time.monotonic()
        for slot in slots:
            slot.extend(slot.opened_at - now)
            slot.opened_at = now
            self._multi.add_handle(slot.curl)

    def _wait(self, seconds: float) -> None:
        """Sleep until a socket is ready or one of libcurl's own timers is due."""
        due = self._multi.timeout()
        if due == 0:
            return
        if due > 0:
            seconds = min(seconds, due / 1000)
        started = time.monotonic()
        ready = self._multi.select(seconds)
        # No socket yet, or none that select() can watch: it came back at once.
        if ready <= 0 and time.monotonic() - started < min(seconds, 0.001):
            time.sleep(min(seconds, 0.001))

    def _read(self) -> list[Answer]:
        found: list[Answer] = []
        while True:
            left, done, failed = self._multi.info_read()
            for curl in done:
                found += self._finish(curl, 0)
            for curl, code, _text in failed:
                found += self._finish(curl, code)
            if not left:
                return found

    def _finish(self, curl: Any, code: int) -> list[Answer]:
        """Return the answer, and with it those of all who waited for the same name in vain."""
        slot = self._busy[curl]
        answer = slot.answer(code)
        self._multi.remove_handle(curl)
        self._release(slot)
        tokens, is_unknown = [answer.token], answer.outcome is Outcome.DNS
        waited = self._lookups.ended(slot, is_unknown=is_unknown)
        if not is_unknown:
            self._start(waited)
            return [answer]
        for each in waited:
            tokens.append(each.token)
            self._release(each)
        return [replace(answer, token=token) for token in tokens]

    def _release(self, slot: _Slot) -> None:
        del self._busy[slot.curl]
        slot.token = None
        self._idle.append(slot)

    def close(self) -> None:
        """Give up what is open and close all connections."""
        # Closing a handle takes it out of its multi handle too.
        for slot in [*self._busy.values(), *self._idle]:
            slot.curl.close()
        self._busy.clear()
        self._idle.clear()
        self._multi.close()


def send_one(request: Request, *, rules: Policy | None = None) -> Answer:
    """Send one request and wait for how it ends; brings the answer's headers too."""
    with CurlTransport(slots=1, rules=rules, keep_headers=True) as transport:
        transport.submit(request, None)
        while True:
            for answer in transport.poll(1.0):
                return answer
