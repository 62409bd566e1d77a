"""The one door out: which URLs may be saved, and which addresses a socket may be opened to.

The check that counts is at the socket, with the address itself, after every DNS trick is
over. The check on save exists for a friendly sentence.
"""

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final
from urllib.parse import quote, urlsplit

import idna
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_LENGTH: Final = 2_000
PORTS: Final = frozenset({443, 8443})


class Refusal(StrEnum):
    """Why no socket is opened; for logs and tests, never with the address for tenants."""

    NO_ADDRESS = "no_address"
    METADATA = "metadata"
    PRIVATE = "private"
    PORT = "port"
    PLAIN_HTTP = "plain_http"


# Cloud metadata and host agents: never, whatever the operator allows.
METADATA: Final[tuple[Network, ...]] = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # AWS, Azure, GCP and others; ECS task credentials.
            "168.63.129.16/32",  # Azure's host agent.
            "100.100.100.200/32",  # Alibaba Cloud.
            "192.0.0.192/32",  # Oracle Cloud.
            "fd00:ec2::/32",  # AWS over IPv6.
            "fd20:ce::254/128",  # Google Cloud over IPv6.
            "fe80::/10",
        ),
    )
)
# Beside what Python knows as not global: what it calls global and is not for a tenant to reach.
REFUSED: Final[tuple[Network, ...]] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "100.64.0.0/10",  # Carrier-grade NAT.
            "192.0.0.0/24",
            "192.88.99.0/24",  # 6to4 relays.
            "198.18.0.0/15",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/16",
            "64:ff9b:1::/48",  # NAT64 of a local network.
            "100::/8",
            "3fff::/20",  # Documentation.
            "5f00::/16",  # Segment routing.
            "fc00::/7",
            "fec0::/10",  # Site-local, once.
            "ff00::/8",
            "2001::/23",
            "2001:db8::/32",
        ),
    )
)
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")  # ::ffff:0:a.b.c.d, SIIT.
_COMPATIBLE: Final = IPv6Network("::/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = IPv6Network("64:ff9b:1::/48")
_ISATAP: Final = (0x5EFE, 0x02005EFE)

_ALLOW: Final = re.compile(r"\[?([0-9A-Fa-f:.]+?)\]?(?:/(\d{1,3}))?(?::(\d{1,5}))?")
_HOST: Final = re.compile(
    r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_INTERNAL: Final = (
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "home.arpa",
    "corp",
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """One range that the operator opens, for one port or for all."""

    network: Network
    port: int | None = None

    def covers(self, address: Address, port: int) -> bool:
        return (
            self.port in (None, port)
            and address.version == self.network.version
            and address in self.network
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be reached: public addresses over TLS, and what the operator allows beside them."""

    allowed: tuple[Allowed, ...] = ()
    ports: frozenset[int] = PORTS

    @classmethod
    def of(cls, entries: Iterable[str], *, ports: Iterable[int] = PORTS) -> "Policy":
        """Read entries like ``10.1.0.0/16``, ``127.0.0.1/32:8900``, ``[fd12::]/64:443``.

        Raises:
            ValueError: an entry is no network with an optional port.
        """
        return cls(tuple(_allowed(entry) for entry in entries), frozenset(ports))

    def opens(self, address: Address, port: int) -> bool:
        return any(each.covers(address, port) for each in self.allowed)

    def opens_port(self, port: int) -> bool:
        """Tell whether some allowed range has this port: a name is looked up when it is called."""
        return any(each.port in (None, port) for each in self.allowed)


def _allowed(entry: str) -> Allowed:
    match = _ALLOW.fullmatch(entry.strip())
    if match is None:
        raise ValueError(f"“{entry}” is not a network with an optional port")
    host, prefix, port = match.groups()
    network = ip_network(f"{host}/{prefix}" if prefix else host)
    if port is not None and not 0 < int(port) < 65_536:
        raise ValueError(f"“{entry}” has no possible port")
    return Allowed(network, int(port) if port else None)


@lru_cache(maxsize=8)
def _policy(entries: tuple[str, ...], ports: tuple[int, ...]) -> Policy:
    return Policy.of(entries, ports={*PORTS, *ports})


def policy() -> Policy:
    """Return the operator's policy: ``EGRESS_ALLOW``, and ``EGRESS_PORTS`` beside 443 and 8443."""
    return _policy(tuple(settings.EGRESS_ALLOW), tuple(getattr(settings, "EGRESS_PORTS", ())))


# --- At the socket --------------------------------------------------------------------------------


def unwrapped(address: Address) -> list[Address]:
    """Return an address with every IPv4 address that some network would take it for."""
    found: list[Address] = [address]
    if not isinstance(address, IPv6Address):
        return found
    value = int(address)
    low = IPv4Address(value & 0xFFFFFFFF)
    if address.ipv4_mapped:
        found.append(address.ipv4_mapped)
    if address.sixtofour:
        found.append(address.sixtofour)
    if address.teredo:
        found += address.teredo
    if any(address in each for each in (_TRANSLATED, _COMPATIBLE, _NAT64)):
        found.append(low)
    if address in _NAT64_LOCAL:
        # RFC 6052 puts the address around bits 64 to 71 of a /48; some put it at the end.
        found += [low, IPv4Address((value >> 64 & 0xFFFF) << 16 | value >> 40 & 0xFFFF)]
    if value >> 32 & 0xFFFFFFFF in _ISATAP:
        found.append(low)
    return found


def refusal(host: str, port: int, *, scheme: str = "https", rules: Policy) -> Refusal | None:
    """Say why a socket to this address must not be opened, or None.

    Args:
        host: the address as the resolver gave it, an IPv6 zone included.
        scheme: plain http goes to ranges of the operator's list only.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return Refusal.NO_ADDRESS
    forms = unwrapped(address)
    if any(
        form in network for form in forms for network in METADATA if form.version == network.version
    ):
        return Refusal.METADATA
    # Allowed by what it really is: ::ffff:10.1.2.3 is 10.1.2.3, nothing else opens anything.
    plain = (
        address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    )
    if rules.opens(plain, port):
        return None
    if any(_is_refused(form) for form in forms):
        return Refusal.PRIVATE
    if scheme != "https":
        return Refusal.PLAIN_HTTP
    return None if port in rules.ports else Refusal.PORT


def _is_refused(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address in _NAT64):
        return False  # Judged by its IPv4 form.
    return (
        any(address in each for each in REFUSED if each.version == address.version)
        or not address.is_global
        or address.is_multicast
        or address.is_reserved
    )


# --- On save --------------------------------------------------------------------------------------


def validate_url(url: str, *, rules: Policy | None = None) -> str:
    """Return a webhook's URL as it will be called: the host in ASCII, the rest percent-encoded.

    Raises:
        ValidationError: one full sentence that says what to do.
    """
    allowed = policy() if rules is None else rules
    text = url.strip()
    if not text:
        raise ValidationError(_("Enter the URL to call."), "url_missing")
    if len(text) > URL_LENGTH:
        message = _("The URL is longer than %(limit)d characters. Shorten it.")
        raise ValidationError(message, "url_length", {"limit": URL_LENGTH})
    if re.search(r"[\x00-\x20\x7f\\]", text):
        message = _("The URL holds a space, a line break or a backslash. Remove it.")
        raise ValidationError(message, "url_characters")
    scheme, host, port, tail = _split(text)
    if scheme not in ("http", "https"):
        raise ValidationError(
            _("“%(scheme)s:” cannot be called. Enter a URL that begins with https://."),
            "url_scheme",
            {"scheme": scheme},
        )
    _check_target(scheme, host, port, allowed)
    shown = f"[{host}]" if ":" in host else host
    default = 443 if scheme == "https" else 80
    return f"{scheme}://{shown}{'' if port == default else f':{port}'}{tail}"


def _split(text: str) -> tuple[str, str, int, str]:
    malformed = ValidationError(
        _("This is not a URL. Enter one like https://crm.example.com/webhook."), "url_malformed"
    )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise malformed from None
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https"):
        if not scheme or ":" not in text:
            raise malformed
        return scheme, "", 0, ""
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        message = _(
            "The URL holds a user name or a password. Remove it and sign with a key instead."
        )
        raise ValidationError(message, "url_credentials")
    if parts.fragment or text.endswith("#"):
        message = _("The URL ends with a part after “#”, which is never sent. Remove it.")
        raise ValidationError(message, "url_fragment")
    if port == 0 or not host or ("[" in parts.netloc and ":" not in host):
        raise malformed
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=-._~")
    query = quote(parts.query, safe="/%?:@!$&'()*+,;=-._~")
    tail = f"{path}?{query}" if parts.query else path
    return scheme, _ascii_host(host, malformed), port or (443 if scheme == "https" else 80), tail


def _ascii_host(host: str, malformed: ValidationError) -> str:
    """Return the host as it will be looked up: punycode, or an address in its one usual form."""
    if ":" in host:
        try:
            return str(IPv6Address(host.partition("%")[0]))
        except ValueError:
            raise malformed from None
    name = host.rstrip(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            raise malformed from None
    name = name.lower()
    if _NUMERIC_LABEL.fullmatch(name.rpartition(".")[2]):
        try:
            canonical = socket.inet_ntoa(socket.inet_aton(name))
        except OSError:
            raise malformed from None
        if canonical != name:
            message = _("“%(host)s” means the address %(address)s. Write it that way.")
            raise ValidationError(message, "url_address_form", {"host": host, "address": canonical})
        return name
    if len(name) > 253 or not _HOST.fullmatch(name):
        raise malformed
    return name


def _check_target(scheme: str, host: str, port: int, rules: Policy) -> None:
    address = _address(host)
    if address is not None:
        why = refusal(str(address), port, scheme=scheme, rules=rules)
    elif "." not in host or host.endswith(tuple(f".{name}" for name in _INTERNAL)):
        # Only the operator's list can make sense of an internal name.
        why = None if rules.opens_port(port) else Refusal.PRIVATE
    elif scheme == "http":
        why = None if rules.opens_port(port) else Refusal.PLAIN_HTTP
    else:
        why = None if port in rules.ports or rules.opens_port(port) else Refusal.PORT
    if why is None:
        return
    if why is Refusal.PLAIN_HTTP:
        message = _("Requests go out encrypted only. Enter a URL that begins with https://.")
    elif why is Refusal.PORT:
        message = _(
            "Port %(port)d may not be called. Use port %(ports)s, "
            "or ask the operator to allow the port."
        )
    else:
        message = _(
            "“%(host)s” is an internal address. Enter a public one, "
            "or ask the operator to add it to the allowed addresses."
        )
    ports = ", ".join(map(str, sorted(rules.ports)))
    raise ValidationError(message, f"url_{why.value}", {"host": host, "port": port, "ports": ports})


def _address(host: str) -> Address | None:
    if host == "localhost" or host.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(host)
    except ValueError:
        return None
