"""A real PostgreSQL for every run, sockets to this machine only, one clear line without chromium.

The database is made by the owner and named for the run, so runs may overlap; the tests themselves
connect as the run-time role, with the rights it has in an installation.
"""

import gc
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connection
from django.test import TransactionTestCase
from django.utils import translation
from pytest_django.plugin import DjangoDbBlocker
from xdist.scheduler import WorkStealingScheduling

from qa_webhook import embedded, scratch
from tests import database

# The same browser without a window's machinery answers in two thirds of the time; where it is not
# installed, whatever chromium there is does.
CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))),
    None,
)


# -- Nothing outside this machine ------------------------------------------------------------------


class OutsideError(RuntimeError):
    """A test tried to reach another machine."""


def _is_inside(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket's path
    try:
        return ip_address(address[0]).is_loopback
    except ValueError:
        return str(address[0]) == "localhost"


def _keep_inside(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and not _is_inside(arguments[1]):
        raise OutsideError(f"Tests connect to this machine only, not to {arguments[1]!r}.")


def pytest_configure(config: pytest.Config) -> None:
    # Set by the controller before xdist starts its workers, so that all of a run share it.
    os.environ.setdefault("TEST_RUN_ID", f"{os.getpid()}_{secrets.token_hex(3)}")
    if not os.environ.get("CELERY_BROKER_URL"):  # which may name another machine
        sys.addaudithook(_keep_inside)


def pytest_collection_finish() -> None:
    """Take what lasts out of the collector's rounds: a fourteenth of an ordinary test's time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _language_of_the_last_request() -> Iterator[None]:
    """Forget the language that a test's last request leaves to this thread."""
    yield
    translation.deactivate()


# -- Browser tests ---------------------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent / "browser" in item.path.parents:
            item.add_marker(pytest.mark.browser)
    drive = [item for item in items if item.get_closest_marker("browser")]
    if CHROMIUM is None and drive:
        # One line for all of them: the first is skipped with the reason, the rest left out.
        first, *rest = drive
        reason = (
            f"{len(drive)} browser tests need chromium, which is not on this machine. "
            "Install it with: apt-get install chromium"
        )
        first.add_marker(pytest.mark.skip(reason=reason))
        items[:] = [item for item in items if item not in rest]
        config.hook.pytest_deselected(items=rest)
    if os.environ.get("PYTEST_XDIST_WORKER"):
        items[:] = _long_first(items)


# -- Several at once -------------------------------------------------------------------------------


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WorkStealingScheduling:
    """Let who has nothing left take from the others; at the start, each gets a part of the list."""
    return WorkStealingScheduling(config, log)


def _long_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Begin one half with the long ones in the browser, the other with those that measure time."""
    long = [item for item in items if item.get_closest_marker("slow")]
    drive = [item for item in long if item.get_closest_marker("browser")]
    work = [item for item in long if not item.get_closest_marker("browser")]
    rest = [item for item in items if not item.get_closest_marker("slow")]
    beside = max(0, len(items) // 2 - len(drive))
    return [*drive, *rest[:beside], *work, *rest[beside:]]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Debian's chromium, quiet and offline, for pytest-playwright's ``page``."""
    return {
        **browser_type_launch_args,
        "executable_path": CHROMIUM,
        "args": [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    }


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Playwright runs an event loop in our thread, and Django takes all that follows for async."""
    if item.get_closest_marker("browser"):
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


# -- Database --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def services() -> Iterator[None]:
    """The embedded PostgreSQL and Valkey, or nothing where the environment names servers."""
    embedded.acquire()
    yield
    embedded.release()


@pytest.fixture(scope="session")
def django_db_setup(services: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    name = f"{database.PREFIX}{os.environ['TEST_RUN_ID']}_{worker}"
    with (
        django_db_blocker.unblock(),
        database.throw_away(name),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(TransactionTestCase, "_fixture_teardown", _empty)
        yield


_flush: Final[Callable[[TransactionTestCase], None]] = vars(TransactionTestCase)[
    "_fixture_teardown"
]


def _empty(case: TransactionTestCase) -> None:
    if not database.empty():
        _flush(case)


@pytest.fixture
def process_environment(transactional_db: None) -> dict[str, str]:
    """The environment for a process of ours that works on this test's database."""
    return {**scratch.environment_for(connection.settings_dict["NAME"]), "LOG_FORMAT": "json"}
