"""A real receiver of webhooks: checks signatures, counts every id, answers as it is told.

``manage.py receiver`` runs it for the demo and for whoever builds a receiving system; tests
run the same in a thread, with real sockets.
"""

from webhooks.receiver.behaviour import Behaviour, Mode, Reply
from webhooks.receiver.ledger import Entry, Ledger
from webhooks.receiver.receipts import ReceiptSender
from webhooks.receiver.server import Receiver

__all__ = ["Behaviour", "Entry", "Ledger", "Mode", "ReceiptSender", "Receiver", "Reply"]
