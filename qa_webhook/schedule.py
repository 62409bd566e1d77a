"""What the scheduler hints at by itself. Due times of people are rows, never entries here."""

from typing import Any, Final

SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "upkeep": {"task": "qa_webhook.tasks.upkeep", "schedule": 3600.0},
    "mail": {
        "task": "qa_webhook.tasks.mail_notices",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    # Says that the scheduler and a worker are alive.
    "tick": {"task": "qa_webhook.tasks.tick", "schedule": 5.0, "options": {"expires": 5.0}},
    # Planners and senders look by themselves; these keep things going where only workers run, and
    # make good a hint that was lost.
    "sweep": {"task": "journeys.tasks.sweep", "schedule": 5.0, "options": {"expires": 5.0}},
    "hint_due": {"task": "webhooks.tasks.hint_due", "schedule": 5.0, "options": {"expires": 5.0}},
}
