"""A name server of a row's own: answers that change, mix, point elsewhere, or take their time."""

import os
import shutil
import socket
import struct
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, Self

from faults.processes import NotRunError

# Nobody else's, and where resolvers look: they know no other port.
ADDRESS: Final = ("127.0.53.53", 53)
_A, _CNAME, _AAAA = 1, 5, 28
_IN: Final = 1


@dataclass(frozen=True)
class Zone:
    """How a name, and every one below it, is answered.

    Args:
        turns: addresses of each answer; one after the other, for each name and type by itself.
        alias: the name that it is another name of.
        delay: seconds until the answer goes out.
    """

    turns: Sequence[Sequence[str]] = ()
    alias: str = ""
    delay: float = 0.0


class NameServer:
    """Answers from its zones as long as the block lasts; every answer is void at once."""

    def __init__(self, zones: Mapping[str, Zone]) -> None:
        self._zones = zones
        self._asked: Counter[tuple[str, int]] = Counter()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        try:
            self._socket.bind(ADDRESS)
        except PermissionError:
            raise NotRunError("run it as root: names are looked up at port 53") from None
        threading.Thread(target=self._serve, name="dns", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # A call that waits for a packet does not notice a close.
        self._socket.sendto(b"", ADDRESS)
        self._socket.close()

    def asked(self, zone: str) -> int:
        """Return how many questions there were for a name and those below it."""
        return sum(times for (name, _kind), times in self._asked.items() if name.endswith(zone))

    def _serve(self) -> None:
        while True:
            try:
                question, client = self._socket.recvfrom(512)
            except OSError:
                return
            if not question:
                return
            name, kind = _read(question)
            zone = self._zone(name)
            answer = self._answer(question, name, kind, zone)
            timer = threading.Timer(zone.delay if zone else 0.0, self._send, (answer, client))
            timer.daemon = True
            timer.start()

    def _send(self, answer: bytes, client: tuple[str, int]) -> None:
        try:
            self._socket.sendto(answer, client)
        except OSError:
            return  # The row is over.

    def _zone(self, name: str) -> Zone | None:
        labels = name.split(".")
        names = (".".join(labels[first:]) for first in range(len(labels)))
        return next((self._zones[each] for each in names if each in self._zones), None)

    def _answer(self, question: bytes, name: str, kind: int, zone: Zone | None) -> bytes:
        records = []
        # An answer without records says "no such address", not "no such name".
        code = 0 if zone else 3
        while zone is not None and zone.alias:
            records.append(_record(name, _CNAME, _written(zone.alias)))
            name, zone = zone.alias, self._zone(zone.alias)
        if zone is not None and zone.turns:
            turn = zone.turns[self._asked[name, kind] % len(zone.turns)]
            asked = [each for each in map(ip_address, turn) if _kind(each) == kind]
            records += [_record(name, kind, each.packed) for each in asked]
        self._asked[name, kind] += 1
        end = question.index(b"\0", 12) + 5
        header = question[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0)
        return header + question[12:end] + b"".join(records)


def _kind(address: IPv4Address | IPv6Address) -> int:
    return _A if address.version == 4 else _AAAA


def _read(question: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("ascii", "replace").lower())
        at += 1 + length
    return ".".join(labels), int.from_bytes(question[at + 1 : at + 3])


def _written(name: str) -> bytes:
    return b"".join(bytes([len(each)]) + each.encode() for each in name.split(".")) + b"\0"


def _record(name: str, kind: int, data: bytes) -> bytes:
    return _written(name) + struct.pack("!HHIH", kind, _IN, 0, len(data)) + data


def looking_there(command: list[str], directory: Path) -> list[str]:
    """Return the command of a process that asks this name server alone."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        raise NotRunError("run it as root, with unshare: a process gets a resolv.conf of its own")
    file = directory / "resolv.conf"
    file.write_text(f"nameserver {ADDRESS[0]}\n")
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    private = ["unshare", "--mount", "--propagation", "private"]
    return [*private, "sh", "-c", script, str(file), *command]
