"""Bring every stored secret under the first entry of FIELD_KEYS."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webhooks import rotation, secrets
from webhooks.secrets import SecretError
from workspaces import audit
from workspaces.choices import Via
from workspaces.management.base import KeepLines

HELP = """Encrypt anew, under the first entry of FIELD_KEYS, whatever stands under another one.

Signing keys, AES keys, receipt keys and the values of custom headers; row by row while everything
runs, so that it may be stopped anywhere, started again, and does nothing the second time. Nobody
else gets a new key. When it says that nothing stands under an older key, that entry can go.
How many there were stands in the audit trail. Ends with 1 when a secret cannot be read.

Examples:
  manage.py rotate_keys --dry-run      under which keys do the secrets stand?
  manage.py rotate_keys
"""
TELL_EVERY = 500


class Command(BaseCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=KeepLines, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be changed")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")

    @audit.through(Via.COMMAND)
    def handle(
        self, *args: Any, dry_run: bool = False, as_json: bool = False, **options: Any
    ) -> None:
        try:
            found = rotation.survey()
        except SecretError as error:
            raise CommandError(str(error)) from None
        rotated = 0
        if not found.unreadable and not dry_run:
            total = rotation.rows()
            rotated = rotation.rotate(on_row=lambda done: self._progress(done, total))
        if as_json:
            told = {
                "current": secrets.keyring().current,
                "by_key": dict(found.by_key),
                "unreadable": found.unreadable,
                "rotated": rotated,
            }
            self.stdout.write(json.dumps(told, ensure_ascii=False))
        else:
            for key_id, number in sorted(found.by_key.items()):
                self.stdout.write(f"{number:,} secrets stood under “{key_id}”.")
            for sentence in found.unreadable:
                self.stderr.write(f"It cannot be read: {sentence}")
            if dry_run:
                self.stdout.write(f"{found.old:,} would be encrypted anew.")
            elif not found.unreadable:
                self.stdout.write(self.style.SUCCESS(f"{rotated:,} were encrypted anew."))
        if found.unreadable:
            sys.exit(1)

    def _progress(self, done: int, total: int) -> None:
        if done % TELL_EVERY == 0 or (done == total and total > TELL_EVERY):
            self.stderr.write(f"{done:,} of {total:,} rows")
