"""Django's command, with an entry in the audit trail for the operator that it makes."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from workspaces import audit
from workspaces.choices import Via
from workspaces.models import User


class Command(createsuperuser.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        before = set(User.objects.filter(is_superuser=True).values_list("pk", flat=True))
        super().handle(*args, **options)
        for user in User.objects.filter(is_superuser=True).exclude(pk__in=before):
            audit.record(
                actor=None, workspace=None, action="user.operator_made", obj=user, via=Via.COMMAND
            )
