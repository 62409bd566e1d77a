"""The other side: a real receiver that writes each request down before it answers.

How it answers is in the path, after any prefix that ends in ``/-``: ``/t1/-/status/503``. So one
process serves every scene of a row. Its file is what the invariants hold our tables against;
nothing of ours can change it.
"""

import asyncio
import gzip
import json
import random
import signal
import ssl
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote

from webhooks.receiver import Entry, Receiver, Reply
from webhooks.receiver.http import Connection, Incoming

_BOMB: Final = gzip.compress(b"\0" * 20_000_000)
_PLACE: Final = "/-/"


class FaultReceiver(Receiver):
    """Answers as its paths say."""

    def __init__(self, *, file: IO[str], **named: Any) -> None:
        super().__init__(**named)
        self._file = file
        self._seen: Counter[str] = Counter()
        self._second = (0, 0)
        self._random = random.Random(7)
        self._number = 0

    def _connect(self) -> Connection:
        self._number += 1
        return Connection(partial(self._handle_on, self._number), self._connections)

    def _handle_on(self, number: int, request: Incoming) -> Reply:
        path = request.target
        if request.method == "GET":
            return super()._handle(request)
        ledger = self._ledgers.get(path) or self.ledger(path)
        entry = ledger.receive(request.headers, request.body)
        reply = self._answer(path, entry)
        entry.status = reply.status
        self._write(entry, reply, number)
        return reply

    def _answer(self, path: str, entry: Entry) -> Reply:
        told = path.partition(_PLACE)[2] or path[1:]
        word, *rest = told.split("/")
        make = getattr(self, f"say_{word.replace('-', '_')}", None)
        return make(entry, *rest) if make else Reply(404)

    def _write(self, entry: Entry, reply: Reply, number: int) -> None:
        is_given = not (reply.hang or reply.reset or reply.raw is not None)
        line = {
            "at": entry.at,
            "path": entry.path,
            "message_id": entry.message_id,
            "delivery_ids": entry.delivery_ids,
            "body": sha256(entry.body).hexdigest(),
            "status": reply.status if is_given else None,
            "accepted": reply.is_accepting or reply.status == 409,
            "signature": entry.headers.get("webhook-signature", ""),
            "timestamp": entry.headers.get("webhook-timestamp", ""),
            "text": entry.body.decode("utf-8", "replace")[:2_000],
            "connection": number,
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    # --- Paths ------------------------------------------------------------------------------------

    def say_ok(self, entry: Entry, *_: str) -> Reply:
        return Reply()

    def say_slow(self, entry: Entry, seconds: str, *_: str) -> Reply:
        return Reply(delay=float(seconds))

    def say_status(self, entry: Entry, code: str, *_: str) -> Reply:
        return Reply(int(code))

    def say_retry_after(self, entry: Entry, values: str, status: str = "503") -> Reply:
        lines = "".join(f"retry-after: {unquote(value)}\r\n" for value in values.split("|"))
        raw = f"HTTP/1.1 {status} Later\r\n{lines}content-length: 0\r\n\r\n"
        return Reply(int(status), raw=raw.encode("latin-1"))

    def say_drip_header(self, entry: Entry, seconds: str = "0.2") -> Reply:
        return Reply(drip=float(seconds), body=b"x" * 1_000)

    def say_drip_body(self, entry: Entry, seconds: str = "0.02") -> Reply:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
        return Reply(raw=head + b"x" * 90_000, drip=float(seconds))

    def say_bomb(self, entry: Entry) -> Reply:
        return Reply(body=_BOMB, headers={"content-encoding": "gzip"})

    def say_big(self, entry: Entry, megabytes: str) -> Reply:
        length = {"content-length": f"{megabytes}000000"}
        return Reply(body=b"y" * 50_000, headers=length, endless=True)

    def say_endless(self, entry: Entry) -> Reply:
        return Reply(body=b"z" * 50_000, endless=True)

    def say_redirect(self, entry: Entry, to: str, status: str = "302") -> Reply:
        return Reply(int(status), headers={"location": unquote(to)})

    def say_reset(self, entry: Entry) -> Reply:
        return Reply(reset=True)

    def say_hang(self, entry: Entry) -> Reply:
        return Reply(hang=True)

    def say_flaky(self, entry: Entry, share: str, status: str = "503") -> Reply:
        return Reply(int(status)) if self._random.random() < float(share) else Reply()

    def say_first(self, entry: Entry, times: str, status: str = "503") -> Reply:
        """Fail each person's first tries."""
        key = entry.path + "".join(entry.delivery_ids)
        self._seen[key] += 1
        return Reply(int(status)) if self._seen[key] <= int(times) else Reply()

    def say_some(self, entry: Entry, digit: str, times: str, status: str = "503") -> Reply:
        """Fail the first tries of whoever has an ID that ends with this digit."""
        ends = [str(each["id"])[-1] for each in entry.recipients]
        return self.say_first(entry, times, status) if digit in ends else Reply()

    def say_headers(self, entry: Entry, number: str) -> Reply:
        return Reply(headers={f"x-{place}": "y" * 20 for place in range(int(number))})

    def say_long_header(self, entry: Entry, size: str) -> Reply:
        return Reply(headers={"x-long": "y" * int(size)})

    def say_nested(self, entry: Entry, times: str) -> Reply:
        body = _BOMB
        for _ in range(int(times) - 1):
            body = gzip.compress(body)
        return Reply(body=body, headers={"content-encoding": ", ".join(["gzip"] * int(times))})

    def say_interim(self, entry: Entry) -> Reply:
        """Begin to answer, for ever."""
        line = b"HTTP/1.1 102 Processing\r\n\r\n"
        return Reply(raw=line, body=line * 200, endless=True)

    def say_ratelimit(self, entry: Entry, limit: str) -> Reply:
        second, number = self._second
        now = int(entry.at)
        self._second = (now, number + 1 if now == second else 1)
        return Reply(429) if self._second[1] > int(limit) else Reply()

    def say_recover_at(self, entry: Entry, moment: str, limit: str = "0") -> Reply:
        if time.time() < float(moment):
            return Reply(503)
        return self.say_ratelimit(entry, limit) if int(limit) else Reply()


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--write", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate", type=Path)
    options = parser.parse_args()
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate, options.certificate.with_name("key.pem"))
    with options.write.open("a", encoding="utf-8") as file:
        receiver = FaultReceiver(file=file, host=options.host, port=options.port, tls=tls)

        async def serve() -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, receiver.ask_to_stop)
            await receiver.serve(announce=lambda made: print(made.port, flush=True))

        asyncio.run(serve())
    sys.exit(0)


if __name__ == "__main__":
    main()
