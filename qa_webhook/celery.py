"""The Celery application: it carries hints, and runs the schedule."""

import os
import warnings
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_ready

from qa_webhook.schedule import SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "qa_webhook.settings")

# Celery warns root of pickled tasks; ours accepts JSON alone.
warnings.filterwarnings("ignore", message="You're running the worker with superuser")

app = Celery("qa_webhook")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = SCHEDULE
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**kwargs: Any) -> None:
    """Connected so that Celery leaves the logging of the settings alone."""


@worker_ready.connect
def keep_up_at_once(**kwargs: Any) -> None:
    """After a long pause the partitions ahead are missing; do not wait for the next hour."""
    from qa_webhook.hints import hint
    from qa_webhook.tasks import upkeep

    hint(upkeep)
