"""Parts of a page that may fail alone: what the database refuses one of them leaves the rest."""

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, transaction

logger = logging.getLogger(__name__)
T = TypeVar("T")


def read(build: Callable[[], T]) -> T | None:
    """Return what a part shows; None, with a line in the log, when the database refuses it.

    It is read to its end here: a query that only the template runs fails with the page.
    """
    try:
        with transaction.atomic():
            return build()
    except DatabaseError:
        logger.exception("A part of a page could not be read; the rest is shown.")
        return None
