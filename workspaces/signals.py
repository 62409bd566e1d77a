"""What this app tells the apps above it."""

from django.dispatch import Signal

# Sent with ``workspace``, in the transaction that makes it: an app gives it what it starts with.
workspace_created = Signal()
