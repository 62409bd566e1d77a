"""Django's ``migrate``, and what else a database needs before anything works on it."""

from typing import Any

from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import connections
from django.utils import timezone

from qa_webhook import database_roles
from webhooks import partitions


class Command(migrate.Command):
    help = (
        f"{migrate.Command.help} Afterwards the cache table and the next days' partitions exist "
        "and the run-time role may use every table. Runs as the role of DATABASE_OWNER_URL."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if options["plan"] or options["check_unapplied"]:
            return
        connection = connections[options["database"]]
        call_command("createcachetable", database=options["database"], verbosity=0)
        database_roles.grant(connection)
        if options["app_label"] is None:
            # So that nobody's first run has to wait for the scheduler.
            partitions.ensure_ahead(now=timezone.now())
