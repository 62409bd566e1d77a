"""What the commands about webhooks share: finding one by what an operator knows of it."""

from django.core.management.base import CommandError

from webhooks.models import Webhook
from workspaces.models import Workspace


def find_webhook(workspace: Workspace, name: str) -> Webhook:
    """Return a webhook by its name or its number."""
    found = Webhook.objects.select_related("workspace", "control").filter(workspace=workspace)
    webhook = found.filter(name__iexact=name.strip()).first()
    if webhook is None and name.isascii() and name.isdigit():
        webhook = found.filter(pk=int(name)).first()
    if webhook is None:
        known = ", ".join(found.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"{workspace} has no webhook “{name}”. There are: {known}.")
    return webhook
