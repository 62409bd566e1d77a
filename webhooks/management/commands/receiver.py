import asyncio
import json
import os
import signal
import ssl
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError

from webhooks.receiver import Behaviour, Mode, Receiver
from webhooks.receiver.ledger import KEPT_REQUESTS
from webhooks.receiver.receipts import Target
from webhooks.receiver.server import Options

RELOAD_SECONDS = 0.2

HELP = """Run a real receiver of webhooks, to see what a webhook sends.

Checks every signature, counts every delivery ID and tells a repetition of something
accepted (duplicate) from one of something refused (retry). Each path posted to is a
ledger of its own. Answers as told:

  ok        200 at once
  slow      200 after --delay-ms (2000 unless given)
  failing   --status (503 unless given), for all or for --fail-percent of the requests
  partial   200 that names --fail-percent of the people as failed
  reset     breaks the connection off          hang   never answers
  drip      one byte every --delay-ms (500 unless given)

While it runs:  GET /stats   GET /ledger?delivery_id=dlv_…   GET /requests?limit=20   POST /reset

Example, with the key shown when the webhook was registered:
  WEBHOOK_KEY=whsec_… manage.py receiver --port 8010 --secret-env WEBHOOK_KEY --print \\
      --content-template "Discount activity at {parameter 1 character}"

--config takes a JSON file that is read again whenever it changes:
  {"ledgers": {"/coupons": {"secrets": ["whsec_…"], "template": "…", "mode": "ok",
               "receipts": {"url": "https://…/receipts/", "key": "…", "code": "delivered"}}}}
"""


class _Formatter(RawDescriptionHelpFormatter):
    """Keep the help's own lines."""


class Command(BaseCommand):
    help = HELP
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=_Formatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--host", default="127.0.0.1", help="address to listen at")
        add("--port", type=int, default=8010, help="port to listen at; 0 takes a free one")
        add("--secret", action="append", default=[], help="signing key; may be given again")
        add("--secret-env", help="environment variable that holds the signing key")
        add("--secret-file", type=Path, help="file that holds signing keys, one a line")
        add("--config", type=Path, help="JSON file for several ledgers, read again on change")
        add(
            "--certificate",
            type=Path,
            metavar="FILE",
            help="serve https with this certificate and the key in the same file",
        )
        add("--mode", choices=[mode.value for mode in Mode], default=Mode.OK.value)
        add("--status", type=int, help="status of failing answers")
        add("--fail-percent", type=float, default=0.0, help="share that fails, 0 to 100")
        add("--delay-ms", type=float, default=0.0, help="wait before each answer")
        add("--answer-409", action="store_true", help="answer 409 to what was accepted before")
        add("--print", action="store_true", dest="show", help="print every request")
        add("--write", type=Path, metavar="FILE", help="append every request as a line of JSON")
        add("--content-template", default="", help="fill this text in, as the person reads it")
        add(
            "--receipts",
            metavar="URL",
            help="send a receipt per accepted delivery to this URL; "
            "{path} stands for the ledger's path",
        )
        add("--receipt-key", default="", help="the webhook's receipt key")
        add("--receipt-code", default="delivered", help="status code of the receipts")
        add("--keep", type=int, default=KEPT_REQUESTS, help="requests kept in full, per ledger")

    def handle(self, *args: Any, **options: Any) -> None:
        output: IO[str] | None = None
        if options["write"]:
            output = options["write"].open("a", encoding="utf-8")
        receiver = Receiver(
            host=options["host"],
            port=options["port"],
            options=self._options(options),
            tls=self._tls(options["certificate"]),
            output=output,
            show=self.stdout.write if options["show"] else None,
        )
        try:
            asyncio.run(self._serve(receiver, options["config"]))
        except OSError as error:
            message = f"Port {options['port']} cannot be opened ({error.strerror}); choose --port."
            raise CommandError(message) from None
        finally:
            receiver.stop()
            if output is not None:
                output.close()
        self._summary(receiver)

    def _options(self, options: dict[str, Any]) -> Options:
        receipts = None
        if options["receipts"]:
            if not options["receipt_key"]:
                raise CommandError("--receipts needs --receipt-key.")
            receipts = Target(options["receipts"], options["receipt_key"], options["receipt_code"])
        found = Options(
            secrets=self._secrets(options),
            template=options["content_template"],
            behaviour=Behaviour(
                mode=Mode(options["mode"]),
                fail_percent=options["fail_percent"],
                status=options["status"],
                delay=options["delay_ms"] / 1000,
                answer_409=options["answer_409"],
            ),
            receipts=receipts,
            kept=options["keep"],
        )
        try:
            Receiver(options=found).ledger()
        except ValueError as error:
            raise CommandError(f"A signing key cannot be used: {error}.") from None
        return found

    @staticmethod
    def _tls(certificate: Path | None) -> ssl.SSLContext | None:
        if certificate is None:
            return None
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            made.load_cert_chain(certificate)
        except (OSError, ssl.SSLError) as error:
            raise CommandError(f"{certificate} holds no certificate and key: {error}.") from None
        return made

    @staticmethod
    def _secrets(options: dict[str, Any]) -> list[str]:
        secrets = list(options["secret"])
        if name := options["secret_env"]:
            if not os.environ.get(name):
                raise CommandError(f"The environment variable {name} is empty.")
            secrets.append(os.environ[name])
        if path := options["secret_file"]:
            try:
                secrets += path.read_text().split()
            except OSError as error:
                raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
        return secrets

    async def _serve(self, receiver: Receiver, config: Path | None) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, receiver.ask_to_stop)
        watcher = None
        if config is not None:
            # Once before the port opens: no request meets a receiver without its keys.
            read_at = self._read_again(receiver, config, 0.0)
            watcher = asyncio.create_task(self._watch(receiver, config, read_at))
        await receiver.serve(announce=self._announce)
        if watcher is not None:
            watcher.cancel()

    def _announce(self, receiver: Receiver) -> None:
        self.stdout.write(f"Listening at {receiver.url('/')}")
        self.stdout.flush()

    async def _watch(self, receiver: Receiver, config: Path, read_at: float) -> None:
        """Read the configuration whenever the file has changed."""
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            read_at = self._read_again(receiver, config, read_at)

    def _read_again(self, receiver: Receiver, config: Path, read_at: float) -> float:
        """Read the configuration unless it is that of ``read_at``; return when it was changed."""
        try:
            changed = config.stat().st_mtime
        except OSError:
            return read_at
        if changed != read_at:
            self._configure(receiver, config)
        return changed

    def _configure(self, receiver: Receiver, config: Path) -> None:
        try:
            told = json.loads(config.read_text())
            ledgers = {
                path: Options.from_json(data, receiver.options)
                for path, data in told["ledgers"].items()
            }
            receiver.configure(ledgers)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            # Half-written or wrong: what was read before stays.
            self.stderr.write(f"{config} is not used: {error!r}")

    def _summary(self, receiver: Receiver) -> None:
        stats = receiver.stats()
        if sys.stdout.isatty():
            for path, counts in stats["ledgers"].items():
                self.stdout.write(
                    f"{path}: {counts['requests']:,} requests, {counts['delivered']:,} people, "
                    f"{counts['duplicates']:,} duplicates, "
                    f"{counts['signatures_verified']:,} signatures verified"
                )
            return
        self.stdout.write(json.dumps(stats))
