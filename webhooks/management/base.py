"""What the commands about webhooks share: finding one by what an operator knows of it."""

from django.core.management.base import CommandError

from webhooks.models import Webhook
from webhooks.monitoring import Condition
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


def ago(seconds: float) -> str:
    """Return a length of time as an operator reads it: 8 s, 12 min, 3 h, 4 d."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def breaker_line(condition: Condition) -> str:
    """Return the breaker's state, and for how long still: open for 40 s more."""
    until = condition.breaker_until
    left = (until - condition.now).total_seconds() if until else 0.0
    return condition.breaker + (f" for {ago(left)} more" if left > 0 else "")
