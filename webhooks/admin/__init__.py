"""The set-up of webhooks and the record of what was sent. Importing it registers the classes."""

from webhooks.admin import choice_lists, records, webhooks

__all__ = ["choice_lists", "records", "webhooks"]
