#!/usr/bin/env python
"""Django's command line for this project; brings up the embedded services where it needs them."""

import os
import sys
from pathlib import Path
from typing import Final

# These may change the schema, so they run as the role that owns it.
OWNER_COMMANDS: Final = frozenset(
    {
        "createcachetable",
        "flush",
        "makemigrations",
        "migrate",
        "optimizemigration",
        "run",  # migrates; its processes run as the run-time role
        "showmigrations",
        "sqlmigrate",
        "squashmigrations",
    }
)
# Never open the database.
SERVICELESS_COMMANDS: Final = frozenset(
    {
        "check",
        "collectstatic",
        "compilemessages",
        "diffsettings",
        "findstatic",
        "help",
        "makemessages",
        "receiver",
        "spectacular",
        "startapp",
        "version",
    }
)


def needs_services(arguments: list[str]) -> bool:
    if not arguments or arguments[0] in SERVICELESS_COMMANDS:
        return False
    return not {"-h", "--help", "--version"}.intersection(arguments)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "qa_webhook.settings")
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    arguments = sys.argv[1:]
    if arguments and arguments[0] in OWNER_COMMANDS:
        os.environ.setdefault("DATABASE_ROLE", "owner")
    if needs_services(arguments):
        from qa_webhook import embedded
        from qa_webhook.servers import ServiceError

        try:
            embedded.acquire()
        except ServiceError as error:
            sys.exit(str(error))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
