"""The set-up of webhooks and the record of what was sent. Importing it registers the classes."""

from webhooks.admin import attempts, choice_lists, deliveries, messages, receipts, webhooks

__all__ = ["attempts", "choice_lists", "deliveries", "messages", "receipts", "webhooks"]
