"""The one way in which this layer tells a higher one something."""

from django.dispatch import Signal

# Sent after commit with ``plan_ids`` and ``chunk_ids`` whose people ended, many at once.
# A hint: the runner's sweep finds the same people in the chunk rows without it.
deliveries_settled = Signal()
