import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A short directory: pytest's own are too long for a socket."""
    directory = Path(f"/tmp/qa-test-{os.getpid()}")
    yield directory
    if directory.exists():
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
