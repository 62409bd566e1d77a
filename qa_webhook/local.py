"""What this checkout keeps for itself: the data directory, the sockets and the generated keys.

Nothing here starts a process, so that settings can import it.
"""

import base64
import hashlib
import json
import os
import secrets
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import environ

BASE_DIR: Final = Path(__file__).resolve().parent.parent
# What is set already stands; the file fills in the rest.
environ.Env.read_env(os.environ.get("ENV_FILE") or BASE_DIR / ".env")
DIRECTORY: Final = Path(os.environ.get("LOCAL_DIR") or BASE_DIR / ".local").resolve()

OWNER_ROLE: Final = "qa_owner"
RUNTIME_ROLE: Final = "qa_app"
DATABASE: Final = "qa"


def fingerprint() -> str:
    """Tell this checkout's services from those of another checkout or user on the machine."""
    return hashlib.sha256(f"{os.geteuid()}:{DIRECTORY}".encode()).hexdigest()[:10]


def socket_directory() -> Path:
    """A short path: a socket's may not be longer than about 107 bytes."""
    return Path("/tmp") / f"qa-{fingerprint()}"  # noqa: S108 - created 0700 and checked


def is_loopback(host: str) -> bool:
    """Whether a host of a URL, or an address to listen on, is this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def postgres_url(role: str) -> str:
    return f"postgresql://{role}@{str(socket_directory()).replace('/', '%2F')}/{DATABASE}"


def valkey_socket() -> Path:
    return socket_directory() / "valkey.sock"


def valkey_url() -> str:
    return f"redis+socket://{valkey_socket()}"


def _generate_keys() -> dict[str, str]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "FIELD_KEYS": f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "DELIVERY_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    }


def create_keys() -> None:
    """Write the keys of this checkout once; they are as precious as the data beside them."""
    path = DIRECTORY / "keys.json"
    if path.exists():
        return
    draft = DIRECTORY / f"keys.{os.getpid()}.tmp"
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        json.dump(_generate_keys(), file, indent=2)
    try:
        os.link(draft, path)  # atomic, and the first of two starts wins
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def keys() -> dict[str, str]:
    """The keys of this checkout; before its first start, keys that nothing was encrypted with."""
    try:
        stored: dict[str, str] = json.loads((DIRECTORY / "keys.json").read_text())
    except FileNotFoundError:
        return _generate_keys()
    return stored
