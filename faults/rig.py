"""What a row works with: a database of its own, a receiver, and processes to be mistreated."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.request import urlopen

from django.conf import settings
from django.db import connection

from faults import processes
from faults.hosts import Host
from faults.names import GUARDS_VARIABLE, POINTS_VARIABLE, SETTINGS
from faults.processes import Process, python, wait_until
from qa_webhook import local, scratch
from qa_webhook.servers import Postgres, Valkey
from tests.journeys import factories as journey_factories
from tests.webhooks.processes import OPTIONS
from tests.webhooks.scene import Scene, make_people, make_scene
from webhooks import progress
from webhooks.models import Plan

LEASE_SECONDS: Final[float] = OPTIONS["lease_seconds"]
# A flush takes so many answers; what is open besides is bounded by the concurrency.
FLUSH_PEOPLE: Final = 100

# The rows that are not about the breaker are judged without it.
NO_BREAKER: Final = {"breaker": {"results": 1_000_000}}


class Ledger:
    """The receiver's process and the file that it writes."""

    def __init__(self, file: Path, process: Process, log: Path, address: str) -> None:
        self.file = file
        self.process = process
        self._log = log
        self._address = address
        self.port = 0

    def start(self, port: int = 0) -> None:
        self._log.write_bytes(b"")
        if port:
            self.process._command[-1] = str(port)
        self.process.start()
        wait_until(lambda: self._log.read_bytes().count(b"\n"), "the receiver listens")
        self.port = int(self._log.read_text().split("\n")[0])

    def url(self, path: str, *, host: str = "", scheme: str = "http") -> str:
        return f"{scheme}://{host or self._address}:{self.port}{path}"

    def count(self) -> int:
        return self.file.read_bytes().count(b"\n") if self.file.exists() else 0

    def lines(self, part: str = "") -> list[dict[str, Any]]:
        """Return the requests whose path holds ``part``, whole lines only, the oldest first."""
        text = self.file.read_text() if self.file.exists() else ""
        found = [json.loads(line) for line in text.split("\n")[:-1]]
        return [each for each in found if part in each["path"]]

    def open_requests(self) -> int:
        """Return how many connections the receiver has now."""
        with urlopen(self.url("/stats")) as answer:
            found = json.load(answer)
        return int(found["connections"])


@dataclass
class Allowed:
    """What the row did that the invariants have to know of."""

    # People that may have been accepted twice: what was open or unflushed at its crashes.
    doubled: int = 0
    # Requests beyond the attempts on record: libcurl's own repeats on dead kept connections.
    repeated: int = 0
    # Paths whose answers say "misconfigured", which uses no attempt.
    uncounted: set[str] = field(default_factory=set)
    # URLs that a webhook had before it was edited.
    former_paths: dict[int, str] = field(default_factory=dict)


class Rig:
    """One row's world. Leaving it ends every process."""

    def __init__(self, *, without: str = "", owns_servers: bool = False, scale: int = 1) -> None:
        """``owns_servers``: PostgreSQL and Valkey are this run's own and may be broken."""
        self.without = without
        self.scale = scale
        self.allowed = Allowed()
        # What people were shown: where, and what.
        self.pages: list[tuple[str, bytes]] = []
        # What processes on hosts of their own are told, such as where the database is.
        self.told: dict[str, str] = {}
        self._owns_servers = owns_servers
        self._stack = ExitStack()
        self._processes: list[Process] = []
        self._scenes = 0

    def __enter__(self) -> Self:
        self.directory = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-"))
        )
        self.directory.chmod(0o755)
        self.name = connection.settings_dict["NAME"]
        self.ledger = self.receiver()
        return self

    def __exit__(self, *_: object) -> None:
        self.end_processes()
        self._stack.close()

    def end_processes(self) -> None:
        for process in self._processes:
            process.kill()

    def enter(self, manager: Any) -> Any:
        """Enter a context that ends with the row."""
        return self._stack.enter_context(manager)

    # --- Servers ----------------------------------------------------------------------------------

    @property
    def postgres(self) -> Postgres:
        """The server, which the row may kill; the suite's own is nobody's to kill."""
        if not self._owns_servers:
            raise processes.NotRunError("needs servers of its own: python -m faults")
        return Postgres(directory=local.DIRECTORY, sockets=local.socket_directory())

    @property
    def valkey(self) -> Valkey:
        if not self._owns_servers:
            raise processes.NotRunError("needs servers of its own: python -m faults")
        return Valkey(directory=local.DIRECTORY, socket=local.valkey_socket())

    # --- Processes --------------------------------------------------------------------------------

    def environment(self, *, points: str = "", **options: Any) -> dict[str, str]:
        """Return what a process of ours needs; ``options`` are those of the sender."""
        return {
            **scratch.environment_for(self.name),
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "ENV_FILE": os.devnull,
            "SENDER_OPTIONS": json.dumps({**OPTIONS, **NO_BREAKER, **options}),
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "INFO",
            "EGRESS_ALLOW": "127.0.0.1/32",
            POINTS_VARIABLE: points,
            GUARDS_VARIABLE: self.without,
        }

    def run(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str],
        *,
        host: Host | None = None,
    ) -> Process:
        """Start a process that ends with the row; on a host it sees no file of others."""
        log = self.directory / f"{name}-{len(self._processes)}.log"
        if host is not None:
            alone = [self.directory, local.DIRECTORY, local.socket_directory()]
            command = host.command(command, hidden=alone)
            environment = {**environment, "LOCAL_DIR": str(self.directory), **self.told}
            del environment["DATABASE_OWNER_URL"]
        made = Process(name, command, environment, log)
        self._processes.append(made)
        return made.start()

    def manage(
        self, *arguments: str, points: str = "", host: Host | None = None, **options: Any
    ) -> Process:
        environment = self.environment(points=points, **options)
        return self.run(arguments[0], python("manage.py", *arguments), environment, host=host)

    def sender(
        self, *arguments: str, points: str = "", host: Host | None = None, **options: Any
    ) -> Process:
        return self.manage("sender", *arguments, points=points, host=host, **options)

    def planner(self, *, points: str = "", host: Host | None = None) -> Process:
        return self.manage("planner", points=points, host=host)

    def receiver(self, *arguments: str, port: int = 0, host: Host | None = None) -> Ledger:
        """Start another receiver with a ledger of its own."""
        number = len(self._processes)
        file = self.directory / f"ledger-{number}.jsonl"
        log = self.directory / f"receiver-{number}.out"
        command = python("-m", "faults.receiver", "--write", str(file))
        environment = {**self.environment(), GUARDS_VARIABLE: ""}
        command = [*command, *arguments]
        if host is not None:
            command = host.command([*command, "--host", host.address])
        process = Process("receiver", [*command, "--port", "0"], environment, log)
        self._processes.append(process)
        made = Ledger(file, process, log, host.address if host else "127.0.0.1")
        made.start(port)
        return made

    def celery(self, *, host: Host | None = None, **environment: str) -> Process:
        command = [
            *("-m", "celery", "--quiet", "--app", "qa_webhook", "worker", "--beat"),
            *(
                "--queues",
                "plan,send,misc",
                "--schedule",
                str(self.directory / f"beat-{len(self._processes)}"),
            ),
            *("--concurrency", "1", "--without-gossip", "--without-mingle"),
        ]
        told = {**self.environment(), **environment}
        return self.run("worker", python(*command), told, host=host)

    def web(self, port: int, *, host: Host | None = None, **environment: str) -> Process:
        address = f"{host.address if host else '127.0.0.1'}:{port}"
        command = [
            *("-m", "gunicorn", "qa_webhook.wsgi", "--worker-class", "gthread", "--threads", "8"),
            *("--bind", address, "--no-control-socket", "--log-level", "error"),
        ]
        told = {**self.environment(), "SITE_URL": f"http://{address}", **environment}
        made = self.run("web", python(*command), told, host=host)

        def is_up() -> bool:
            try:
                with urlopen(f"http://{address}/health/live", timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_until(is_up, "the web server answers")
        return made

    # --- Scenes -----------------------------------------------------------------------------------

    def path(self, behaviour: str) -> str:
        """Return a path of a tenant's own that the receiver answers like this."""
        self._scenes += 1
        return f"/t{self._scenes}/-/{behaviour}"

    def scene(self, behaviour: str, *, people: int, submit: int = 0, **fields: Any) -> Scene:
        """Make a workspace with a webhook that leads to the receiver, and plan its people."""
        url = fields.pop("url", None) or self.ledger.url(self.path(behaviour))
        made = make_scene(url, people=people, **{"timeout_seconds": 2, **fields})
        if submit:
            made.submit(size=submit)
        return made

    def crowd(self, behaviour: str, *, people: int, **fields: Any) -> journey_factories.Scene:
        """Make a workspace with so many people in an audience, for journeys of any steps."""
        url = self.ledger.url(self.path(behaviour))
        made = journey_factories.make_scene(url=url, **{"timeout_seconds": 2, **fields})
        members = made.audience.members
        members.all().delete()
        qaids = make_people(made.workspace, people, id_type=made.mobile)
        members.model.objects.bulk_create(
            members.model(audience=made.audience, profile_id=qaid) for qaid in qaids
        )
        return made

    def wait(self, condition: Callable[[], object], expectation: str, **named: Any) -> float:
        return wait_until(condition, expectation, **named)

    def wait_for_requests(self, more: int, *, ledger: Ledger | None = None) -> None:
        """Wait until so many more requests have come in."""
        found = ledger or self.ledger
        wanted = found.count() + more
        wait_until(lambda: found.count() >= wanted, f"{more} more requests")

    def wait_until_done(self, *scenes: Scene, seconds: float = processes.WAIT_SECONDS) -> float:
        return wait_until(
            lambda: all(scene.counts().queued == 0 for scene in scenes),
            "everybody ended",
            seconds=seconds,
        )


def totals() -> dict[str, int]:
    """Return how everybody in the database stands, by state."""
    found: dict[str, int] = {}
    for counts in progress.counts(list(Plan.objects.values_list("pk", flat=True))).values():
        for state in ("delivered", "dead", "expired", "cancelled", "skipped", "uncertain"):
            found[state] = found.get(state, 0) + getattr(counts, state)
    return {state: number for state, number in found.items() if number}


@contextmanager
def setting(name: str, value: Any) -> Iterator[None]:
    """Change one of Django's settings in this process for a while."""
    before = getattr(settings, name)
    setattr(settings, name, value)
    try:
        yield
    finally:
        setattr(settings, name, before)
