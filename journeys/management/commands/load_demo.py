from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from journeys.demo import drawing, people, states, targets, tenant


class Command(BaseCommand):
    help = (
        "Load the demo: an organization with three log-ins, the 23,570 CDNOW customers and their "
        "purchases, six webhooks and five journeys, one of each state. What is there already is "
        "left alone, so that running it again is cheap; the demo's receiver is told its keys anew. "
        "Where only this machine reaches the console, the log-ins have the password of the README; "
        "with DATABASE_URL set, or another host in SITE_URL, one of their own, kept in .local and "
        "printed at each start. Refused beside another organization."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--own-password", action="store_true", help="never the password of the README"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        password = tenant.password(own=options["own_password"])
        try:
            made = tenant.make(password=password)
        except tenant.NotAloneError:
            raise CommandError(
                "This installation has an organization of its own, and the demo's log-ins, an "
                "operator among them, are for everybody to try. Load the demo into a database of "
                "its own; “manage.py run --no-demo” starts without it."
            ) from None
        people.load(made, now=now, say=self._say)
        webhooks = targets.register(made, receiver_url=settings.RECEIVER_URL, now=now)
        targets.write_configuration(webhooks, site_url=settings.SITE_URL, now=now)
        if not drawing.exists(made, drawing.AUDIENCE_JOURNEY):
            drawing.coupons(made, webhooks, now=now)
        if not drawing.exists(made, drawing.EVENT_JOURNEY):
            states.listen(made, webhooks, now=now)
        states.make(made, webhooks, now=now)
        self.stdout.write(f"Log in at {settings.SITE_URL}/ with the password “{password}”:")
        for role, user in made.logins:
            self.stdout.write(f"  {role:<14} {user.email}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
