"""The receiver itself: an event loop in a thread or in the foreground, a ledger a path."""

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import IO, Any, Final, Self
from urllib.parse import parse_qs

from webhooks.receiver.behaviour import Behaviour, Mode, Reply
from webhooks.receiver.http import Connection, Incoming
from webhooks.receiver.ledger import KEPT_REQUESTS, Entry, Ledger
from webhooks.receiver.receipts import ReceiptSender, Target

RECEIPT_PLACE: Final = "{path}"  # In a receipt URL: stands for the ledger's path without slashes.


@dataclass(slots=True)
class Options:
    """How ledgers behave that nothing else was said about."""

    secrets: list[str] = field(default_factory=list)
    template: str = ""
    behaviour: Behaviour = field(default_factory=Behaviour)
    receipts: Target | None = None
    kept: int = KEPT_REQUESTS

    @classmethod
    def from_json(cls, data: Mapping[str, Any], base: "Options") -> "Options":
        """Read one object of a configuration file over what stands elsewhere.

        Raises:
            ValueError, TypeError: a mode that does not exist, or a value of the wrong type.
        """
        behaviour = base.behaviour
        told = {key: data[key] for key in ("fail_percent", "status", "delay") if key in data}
        if "mode" in data or told:
            mode = Mode(data.get("mode", behaviour.mode))
            behaviour = replace(behaviour, mode=mode, **told)
        receipts = base.receipts
        if "receipts" in data:
            given = data["receipts"]
            receipts = Target(given["url"], given["key"], given.get("code", "delivered"))
        return cls(
            secrets=list(data.get("secrets", base.secrets)),
            template=str(data.get("template", base.template)),
            behaviour=behaviour,
            receipts=receipts,
            kept=base.kept,
        )


class Receiver:
    """A receiving system on a real port.

    In tests: ``with Receiver() as receiver: receiver.url("/coupons")``. Every path that is
    posted to is a ledger of its own.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        options: Options | None = None,
        tls: ssl.SSLContext | None = None,
        output: IO[str] | None = None,
        show: Callable[[str], None] | None = None,
    ) -> None:
        """Bind nothing yet.

        Args:
            port: 0 takes a free one.
            output: gets every request as a line of JSON.
            show: gets one line for people a request.
        """
        self.host, self.port = host, port
        self.options = options or Options()
        self._tls = tls
        self._output, self._show = output, show
        self._named: dict[str, Options] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._scripts: dict[str, list[Reply]] = {}
        self._behaviours: dict[str, Behaviour] = {}
        self._receipts: ReceiptSender | None = None
        self._reported: Counter[str] = Counter()
        self._connections: set[Connection] = set()
        self._connections_made = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    # --- Running ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen from a thread; return when the port is open.

        Raises:
            OSError: the port is taken.
        """
        ready: Future[None] = Future()

        def run() -> None:
            try:
                asyncio.run(self.serve(announce=lambda _receiver: ready.set_result(None)))
            except OSError as error:
                ready.set_exception(error)

        self._thread = threading.Thread(target=run, name="receiver", daemon=True)
        self._thread.start()
        ready.result()
        return self

    def stop(self) -> None:
        """Close the port and all connections, and report the receipts that are left."""
        if self._thread is not None:
            if self._loop is not None and self._loop.is_running():
                self._loop.call_soon_threadsafe(self.ask_to_stop)
            self._thread.join()
            self._thread = None
        if self._receipts is not None:
            self._receipts.close()
            self._reported += self._receipts.counts
            self._receipts = None

    def ask_to_stop(self) -> None:
        """End ``serve`` soon; for the loop's own signal handlers."""
        if self._stop is not None:
            self._stop.set()

    async def serve(self, *, announce: "Callable[[Receiver], None] | None" = None) -> None:
        """Listen until stopped; ``announce`` is called when the port is open.

        Raises:
            OSError: the port is taken.
        """
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self._loop.create_server(
            self._connect, self.host, self.port, ssl=self._tls, backlog=1024
        )
        self.port = server.sockets[0].getsockname()[1]
        if announce is not None:
            announce(self)
        await self._stop.wait()
        server.close()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    def _connect(self) -> Connection:
        self._connections_made += 1
        return Connection(self._handle, self._connections)

    # --- For tests and configuration --------------------------------------------------------------

    def url(self, path: str = "/") -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{self.host}:{self.port}{path}"

    @property
    def connections_made(self) -> int:
        """How many connections were ever opened: fewer than requests when they are kept."""
        return self._connections_made

    def script(self, path: str, *replies: Reply) -> None:
        """Give these answers one after another; then as the behaviour says."""
        self._scripts.setdefault(path, []).extend(replies)

    def behave(self, path: str, behaviour: Behaviour) -> None:
        """Answer like this from now on."""
        self._behaviours[path] = behaviour

    def configure(self, ledgers: Mapping[str, Options]) -> None:
        """Say how named ledgers behave; counts stay."""
        self._named = dict(ledgers)
        for path, ledger in self._ledgers.items():
            options = self._named.get(path, self.options)
            ledger.template = options.template
            ledger.trust(options.secrets)

    def ledger(self, path: str = "/") -> Ledger:
        """Return the ledger of a path, made when it is asked for the first time."""
        found = self._ledgers.get(path)
        if found is None:
            options = self._named.get(path, self.options)
            found = Ledger(path, options.template, options.kept)
            found.trust(options.secrets)
            self._ledgers[path] = found
        return found

    def entries(self, path: str = "/") -> list[Entry]:
        """Return the last requests of a path, the oldest first."""
        return list(self.ledger(path).entries)

    def stats(self) -> dict[str, Any]:
        """Return the counts of each ledger and of the receipts."""
        sender = self._receipts
        # Read first: what is reported meanwhile may be counted, and never missing.
        pending = sender.pending if sender else 0
        counts = self._reported + (sender.counts if sender else Counter())
        return {
            "ledgers": {path: ledger.stats() for path, ledger in self._ledgers.items()},
            "connections": self._connections_made,
            "receipts": {
                "sent": counts["sent"],
                "failed": counts["failed"],
                "pending": pending,
            },
        }

    # --- Answering --------------------------------------------------------------------------------

    def _handle(self, request: Incoming) -> Reply:
        path, _mark, query = request.target.partition("?")
        if request.method == "GET":
            return self._look(path, query)
        if path == "/reset":
            self._reset()
            return _json({"reset": True})
        return self._receive(path, request)

    def _look(self, path: str, query: str) -> Reply:
        asked = parse_qs(query)
        if path == "/stats":
            return _json(self.stats())
        if path == "/ledger":
            return _json(self._find(asked.get("delivery_id", [""])[0]))
        if path == "/requests":
            limit = asked.get("limit", ["20"])[0]
            return _json(self._last(int(limit) if limit.isdecimal() else 20))
        return _json({"see": ["/stats", "/ledger?delivery_id=", "/requests?limit="]}, 404)

    def _find(self, delivery_id: str) -> dict[str, Any]:
        found = [ledger.find(delivery_id) for ledger in self._ledgers.values()]
        known = [each for each in found if each["times"] or each["requests"]]
        return (
            {"delivery_id": delivery_id, "times": 0, "accepted": False} if not known else known[0]
        )

    def _last(self, limit: int) -> list[dict[str, Any]]:
        pairs = [
            (entry, ledger.template)
            for ledger in self._ledgers.values()
            for entry in ledger.entries
        ]
        pairs.sort(key=lambda pair: pair[0].at, reverse=True)
        return [entry.to_json(template) for entry, template in pairs[:limit]]

    def _reset(self) -> None:
        for ledger in self._ledgers.values():
            ledger.reset()

    def _receive(self, path: str, request: Incoming) -> Reply:
        ledger = self._ledgers.get(path) or self.ledger(path)
        entry = ledger.receive(request.headers, request.body)
        reply = self._reply(path, ledger, entry)
        is_trusted = entry.signature in ("verified", "unchecked")
        if not is_trusted:
            reply = Reply(401)
        new = ledger.record(
            entry, status=reply.status, accepted=reply.is_accepting, failed=reply.failed
        )
        if new:
            self._acknowledge(path, new)
        if self._output is not None or self._show is not None:
            self._report(entry, ledger.template)
        return reply

    def _reply(self, path: str, ledger: Ledger, entry: Entry) -> Reply:
        script = self._scripts.get(path)
        if script:
            return script.pop(0)
        behaviour = self._behaviours.get(path) or self._named.get(path, self.options).behaviour
        is_repeated = behaviour.answer_409 and ledger.is_repeated(entry)
        return behaviour.reply(entry.delivery_ids, is_repeated=is_repeated)

    def _acknowledge(self, path: str, delivery_ids: list[str]) -> None:
        target = self._named.get(path, self.options).receipts
        if target is None:
            return
        if self._receipts is None:
            self._receipts = ReceiptSender()
        place = path.strip("/")
        self._receipts.add(
            replace(target, url=target.url.replace(RECEIPT_PLACE, place)), delivery_ids
        )

    def _report(self, entry: Entry, template: str) -> None:
        if self._output is not None:
            self._output.write(json.dumps(entry.to_json(template), ensure_ascii=False) + "\n")
            self._output.flush()
        if self._show is not None:
            for line in lines_for(entry, template):
                self._show(line)


def lines_for(entry: Entry, template: str) -> Iterable[str]:
    """Return what a person at a terminal reads of one request."""
    mark = " test" if entry.is_test else ""
    head = f"{entry.path}{mark} {entry.message_id or '(no webhook-id)'} signature {entry.signature}"
    yield f"{head} -> {entry.status}"
    texts = entry.contents(template) or [
        json.dumps(each.get("params", {}), ensure_ascii=False) for each in entry.recipients
    ]
    for recipient, text in zip(entry.recipients, texts, strict=True):
        yield f"    {recipient.get('id', '')}: {text}"
    if not entry.recipients:
        yield "    " + entry.body.decode("utf-8", "replace")[:500]


def _json(data: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(data, ensure_ascii=False).encode())
