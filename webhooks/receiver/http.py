"""HTTP/1.1 by hand, as much of it as a receiver needs: kept connections, lengths, no chunks."""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from webhooks.receiver.behaviour import OK, Reply

HEAD_BYTES: Final = 64 * 1024
BODY_BYTES: Final = 16 * 1024 * 1024
_END: Final = b"\r\n\r\n"
_ENCODED_OK: Final = OK.encoded()


class Incoming(NamedTuple):
    """One complete request; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Handler = Callable[[Incoming], Reply]


class Connection(asyncio.Protocol):
    """One client's connection; requests on it are answered one after another."""

    def __init__(self, handler: Handler, opened: set["Connection"]) -> None:
        """Answer with ``handler``; stand in ``opened`` while the client is there."""
        self._handler = handler
        self._opened = opened
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._is_answering = False
        self._has_continued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._opened.add(self)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._opened.discard(self)

    def abort(self) -> None:
        """Break the connection off."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_answering:
            self._next()

    def _next(self) -> None:
        """Answer every complete request in the buffer until one takes its time."""
        while self._buffer and self._transport is not None and not self._is_answering:
            request = self._take()
            if request is None:
                return
            if isinstance(request, Reply):
                self._answer(request)
                return
            self._answer(self._handler(request))

    def _take(self) -> Incoming | Reply | None:
        """Cut one request off the buffer; None while incomplete, a reply when it is refused."""
        end = self._buffer.find(_END)
        if end < 0:
            return Reply(431, close=True) if len(self._buffer) > HEAD_BYTES else None
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        first = lines[0].split(" ")
        if len(first) != 3:
            return Reply(400, close=True)
        headers = {}
        for line in lines[1:]:
            name, _colon, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if "transfer-encoding" in headers:
            return Reply(411, close=True)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES:
            return Reply(413 if length.isdigit() else 400, close=True)
        start = end + len(_END)
        stop = start + int(length)
        if len(self._buffer) < stop:
            self._continue(headers)
            return None
        body = bytes(self._buffer[start:stop])
        del self._buffer[:stop]
        self._has_continued = False
        return Incoming(first[0], first[1], headers, body)

    def _continue(self, headers: Mapping[str, str]) -> None:
        if "expect" in headers and not self._has_continued and self._transport is not None:
            self._has_continued = True
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- Answering --------------------------------------------------------------------------------

    def _answer(self, reply: Reply) -> None:
        if self._transport is None:
            return
        if reply is OK:
            self._transport.write(_ENCODED_OK)
            return
        if reply.is_plain:
            self._transport.write(reply.encoded())
            return
        self._is_answering = True
        asyncio.get_running_loop().call_later(reply.delay, self._begin, reply)

    def _begin(self, reply: Reply) -> None:
        transport = self._transport
        if transport is None or reply.hang:
            return
        if reply.reset:
            # Linger 0 makes the kernel send RST, as after a crash.
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
            return
        if reply.drip:
            self._drip(reply, reply.encoded(), 0)
            return
        transport.write(reply.encoded())
        if reply.endless:
            self._go_on(reply)
            return
        self._end(reply)

    def _drip(self, reply: Reply, data: bytes, place: int) -> None:
        if self._transport is None:
            return
        if place == len(data):
            self._end(reply)
            return
        self._transport.write(data[place : place + 1])
        asyncio.get_running_loop().call_later(reply.drip, self._drip, reply, data, place + 1)

    def _go_on(self, reply: Reply) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() < HEAD_BYTES:
            self._transport.write(reply.body)
        asyncio.get_running_loop().call_later(0.001, self._go_on, reply)

    def _end(self, reply: Reply) -> None:
        self._is_answering = False
        if self._transport is None:
            return
        if reply.close or reply.raw is not None:
            self._transport.close()
            return
        self._next()
