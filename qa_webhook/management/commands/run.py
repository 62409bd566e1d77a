"""``manage.py run``: the whole product in the foreground."""

import fcntl
import os
import socket
import subprocess
import sys
import time
import urllib.request
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final
from urllib.error import URLError

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from qa_webhook import local
from qa_webhook.processes import Process, Supervisor

_TRIES: Final = 50
_READY_SECONDS: Final = 60.0


class Command(BaseCommand):
    help = (
        "Start web, planner, sender, worker with schedule, and the demo's receiver; Ctrl-C stops "
        "them. Migrates and loads the demo first where that is due. What is not set in the "
        "environment (DATABASE_URL, CELERY_BROKER_URL) runs embedded, with its data kept in .local."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-demo", action="store_true", help="leave the demo and receiver out"
        )
        parser.add_argument(
            "--bind", default="127.0.0.1", help="address to listen on (%(default)s)"
        )
        parser.add_argument("--port", type=int, default=settings.PORT, help="(%(default)s)")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._logins: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        with self._only_one():
            self._migrate()
            port = self._free_port(options["bind"], options["port"])
            receiver_port = self._free_port("127.0.0.1", settings.RECEIVER_PORT, besides={port})
            environment = _environment(port, receiver_port)
            if not options["no_demo"]:
                self._load_demo(environment, options["bind"])
            processes = _processes(environment, bind=f"{options['bind']}:{port}")
            if options["no_demo"]:
                processes = [process for process in processes if process.name != "receiver"]
            supervisor = Supervisor(processes, output=sys.stdout)
            site_url = environment["SITE_URL"]
            code = supervisor.run(
                started=lambda: self._announce(supervisor, port, site_url, options)
            )
        self.stdout.write("Stopped. Everything is kept for the next start.")
        sys.exit(code)

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        local.DIRECTORY.mkdir(parents=True, exist_ok=True)
        with (local.DIRECTORY / "run.lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise CommandError(f"It already runs, as process {file.read().strip()}.") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def _migrate(self) -> None:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.stdout.write("Preparing the database.")
            call_command("migrate", verbosity=0)
        connection.close()

    def _free_port(
        self, bind: str, first: int, besides: frozenset[int] | set[int] = frozenset()
    ) -> int:
        for port in range(first, first + _TRIES):
            if port not in besides and _is_free(bind, port):
                return port
            self.stdout.write(f"Port {port} is taken; trying {port + 1}.")
        raise CommandError(f"No free port from {first} to {first + _TRIES - 1}.")

    def _load_demo(self, environment: dict[str, str], bind: str) -> None:
        loading = subprocess.Popen(
            demo_command(bind), env=environment, stdout=subprocess.PIPE, text=True
        )
        with loading.stdout or nullcontext(()) as lines:
            for line in lines:
                # Its last words are the log-ins; they are shown when there is something to enter.
                if self._logins or line.startswith("Log in at"):
                    self._logins.append(line.rstrip())
                else:
                    self.stdout.write(line, ending="")
        if loading.wait():
            raise CommandError("The demo could not be loaded; the reason is above.")

    def _announce(
        self, supervisor: Supervisor, port: int, site_url: str, options: dict[str, Any]
    ) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(port):
            if supervisor.is_stopping or time.monotonic() > deadline:
                return
            time.sleep(0.1)
        lines = ["", f"{settings.PRODUCT_NAME} is ready: {site_url}/"]
        if not options["no_demo"]:
            lines += self._logins
        supervisor.say("run", "\n".join([*lines, "Ctrl-C stops everything.", ""]))


def demo_command(bind: str) -> list[str]:
    """Return what loads the demo; others who reach the console must not know its password."""
    return _manage("load_demo", *([] if local.is_loopback(bind) else ["--own-password"]))


def _is_free(bind: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/health/ready"
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, str(local.BASE_DIR / "manage.py"), *arguments]


def _environment(port: int, receiver_port: int) -> dict[str, str]:
    """What the processes are told beside our own environment: the run-time role, and the ports."""
    environment = {
        **os.environ,
        "DATABASE_ROLE": "runtime",
        "PORT": str(port),
        "RECEIVER_PORT": str(receiver_port),
        "LOG_FORMAT": os.environ.get("LOG_FORMAT", "console" if sys.stdout.isatty() else "json"),
        "PYTHONUNBUFFERED": "1",
    }
    # In a terminal a line for every request hides those that matter.
    environment.setdefault("LOG_LEVEL", "WARNING")
    environment.setdefault("SITE_URL", f"http://127.0.0.1:{port}")
    # On servers too the demo reaches its own receiver, and nothing else inside.
    environment.setdefault("EGRESS_ALLOW", f"127.0.0.1/32:{receiver_port}")
    return environment


def _processes(environment: dict[str, str], *, bind: str) -> list[Process]:
    web = ["gunicorn", "qa_webhook.wsgi", "--worker-class", "gthread", "--workers", "2"]
    web += ["--threads", "4", "--bind", bind, "--no-control-socket", "--log-level", "warning"]
    worker = [
        "celery",
        "--quiet",
        "--app",
        "qa_webhook",
        "worker",
        "--beat",
        "--queues",
        "plan,send,misc",
    ]
    worker += ["--schedule", str(local.DIRECTORY / "beat-schedule"), "--concurrency", "2"]
    worker += ["--without-gossip", "--without-mingle"]
    # Written by load_demo, with the keys of the demo's webhooks.
    configuration = str(local.DIRECTORY / "receiver.json")
    commands = {
        "web": [sys.executable, "-m", *web],
        "planner": _manage("planner"),
        "sender": _manage("sender"),
        "worker": [sys.executable, "-m", *worker],
        "receiver": _manage(
            "receiver", "--port", environment["RECEIVER_PORT"], "--config", configuration
        ),
    }
    return [
        Process(name, command, environment, serves=name in {"web", "receiver"})
        for name, command in commands.items()
    ]
