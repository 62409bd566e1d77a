"""The project: settings, addresses, processes. Wiring only."""

from qa_webhook.celery import app as celery_app

__all__ = ["celery_app"]
