"""A TCP relay that can be slow, swallow, break off or cut: it stands before a server of ours."""

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

_PIECE: Final = 64 * 1024


class Proxy:
    """Relays a port of this machine to a server's socket; set its attributes at any time.

    ``latency`` is in seconds and each way, ``blackhole`` takes bytes and passes none on, ``cut``
    ends a connection after so many bytes of the server's. ``reset`` breaks off all that are open.
    """

    def __init__(self, upstream: Path | int) -> None:
        self.upstream = upstream
        self.latency = 0.0
        self.blackhole = False
        self.cut: int | None = None
        self.refuse = False
        self.port = 0
        self.accepted = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    # --- Control, from any thread -----------------------------------------------------------------

    def __enter__(self) -> Self:
        ready: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready)), name="proxy", daemon=True
        )
        self._thread.start()
        self.port = ready.result()
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def reset(self) -> None:
        """Break every connection off, as a firewall that forgot them would."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._reset_all)

    # --- In the loop ------------------------------------------------------------------------------

    async def _serve(self, ready: "Future[int]") -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        ready.set_result(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        server.close()
        self._reset_all()

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # The row is over.
            await self._connect(reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        if self.refuse:
            self._close(writer)
            return
        opening: Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
        if isinstance(self.upstream, Path):
            opening = asyncio.open_unix_connection(str(self.upstream))
        else:
            opening = asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            server_reader, server_writer = await opening
        except OSError:
            self._close(writer)
            return
        self._writers.add(server_writer)
        try:
            await asyncio.gather(
                self._relay(reader, server_writer, None),
                self._relay(server_reader, writer, self.cut),
            )
        finally:
            self._close(writer)
            self._close(server_writer)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: int | None
    ) -> None:
        left = cut
        try:
            while data := await reader.read(_PIECE):
                if self.latency:
                    await asyncio.sleep(self.latency)
                while self.blackhole:
                    await asyncio.sleep(0.05)
                if left is not None:
                    data, left = data[:left], left - len(data)
                writer.write(data)
                await writer.drain()
                if left is not None and left <= 0:
                    break
        except (OSError, asyncio.CancelledError):
            pass
        self._close(writer)

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()
