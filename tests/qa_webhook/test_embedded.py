"""PostgreSQL and Valkey out of whatever this machine has: started, shared, stopped."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from qa_webhook import local
from qa_webhook.servers import Postgres, ServiceError, Valkey, postgres_binaries

MANAGE = str(local.BASE_DIR / "manage.py")
BINARIES = list(postgres_binaries())


@pytest.mark.parametrize(("binaries", "version"), BINARIES, ids=[str(v) for _, v in BINARIES])
def test_postgres_keeps_its_data_over_a_restart(
    binaries: Path, version: int, tmp_path: Path, sockets: Path
) -> None:
    postgres = Postgres(directory=tmp_path, sockets=sockets, binaries=binaries)
    postgres.start()
    session = postgres.connect("postgres")
    with session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT upper('é') AS letter, 'Zhang San' AS name")
    session.close()
    postgres.stop()
    assert not postgres.is_running()

    postgres.start()

    session = postgres.connect("postgres")
    with session.cursor() as cursor:
        cursor.execute("SELECT letter, name, current_setting('server_version_num') FROM kept")
        row = cursor.fetchone()
    session.close()
    postgres.stop()
    assert row is not None
    assert row[:2] == ("É", "Zhang San")
    assert int(row[2]) // 10_000 == version


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its files to nobody")
@pytest.mark.parametrize("binaries", [BINARIES[-1][0]])
def test_root_without_user_namespaces_runs_it_as_nobody(
    binaries: Path, tmp_path: Path, sockets: Path
) -> None:
    postgres = Postgres(directory=tmp_path, sockets=sockets, binaries=binaries, namespaces=False)
    try:
        postgres.start()
        owner = postgres.data.stat().st_uid
        running = postgres.is_running()
        postgres.stop()
    finally:
        subprocess.run(["rm", "-rf", str(postgres.data.parent)], check=True)

    # pytest's directory is this user's alone, so the data lies where nobody gets in.
    assert postgres.data.parent == Path("/var/lib") / sockets.name
    assert running
    assert owner == 65534


def test_data_of_another_version_is_not_touched(tmp_path: Path, sockets: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")

    with pytest.raises(ServiceError, match=r"belongs to PostgreSQL 9"):
        Postgres(directory=tmp_path, sockets=sockets).start()


def test_valkey_starts_and_stops(tmp_path: Path, sockets: Path) -> None:
    valkey = Valkey(directory=tmp_path, socket=sockets / "valkey.sock")
    assert not valkey.is_running()

    valkey.start()
    assert valkey.is_running()

    valkey.stop()
    assert not valkey.is_running()


def test_a_socket_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.symlink_to(tmp_path)

    with pytest.raises(ServiceError, match=r"belongs to another user"):
        Valkey(directory=tmp_path, socket=trap / "valkey.sock").start()


class TestSharing:
    """Every manage.py command finds what runs, starts what does not, and the last one stops it."""

    @pytest.fixture
    def environment(self, tmp_path: Path) -> Iterator[dict[str, str]]:
        inherited = ("DATABASE_URL", "CELERY_BROKER_URL", "DATABASE_ROLE")
        kept = {name: value for name, value in os.environ.items() if name not in inherited}
        yield {**kept, "LOCAL_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "qa_webhook.settings"}
        assert not _runs(tmp_path)

    def test_one_command_starts_and_stops(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        answer = _manage(environment, "dbshell", "--", "-c", "SELECT current_user")

        assert answer.returncode == 0, answer.stderr
        assert local.RUNTIME_ROLE in answer.stdout
        assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    def test_an_ordinary_user_needs_nothing_of_root(self, environment: dict[str, str]) -> None:
        # The interpreter may lie in root's home: root's files may be read, and no more.
        reading = "dac_read_search"
        ordinary = [
            *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
            *(f"--inh-caps=-all,+{reading}", f"--ambient-caps=+{reading}"),
            f"--bounding-set=-all,+{reading}",
        ]
        with tempfile.TemporaryDirectory(prefix="qa-user-", dir="/tmp") as folder:
            os.chown(folder, 65534, 65534)
            environment |= {"LOCAL_DIR": folder, "HOME": folder, "PYTHONDONTWRITEBYTECODE": "1"}
            answer = _manage(
                environment, "dbshell", "--", "-c", "SELECT current_user", through=ordinary
            )
            owners = {path.lstat().st_uid for path in Path(folder).rglob("*")}
            is_running = _runs(Path(folder))

        assert answer.returncode == 0, answer.stderr
        assert local.RUNTIME_ROLE in answer.stdout
        assert owners == {65534}
        assert not is_running

    def test_the_last_of_two_stops(self, environment: dict[str, str], tmp_path: Path) -> None:
        first, second = _user(environment), _user(environment)

        first.communicate("done\n", timeout=60)
        assert _runs(tmp_path)

        second.communicate("done\n", timeout=60)
        assert not _runs(tmp_path)

    def test_after_a_kill_the_next_one_tidies_up(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        killed = _user(environment)
        killed.kill()
        killed.communicate(timeout=60)
        assert _runs(tmp_path)

        _user(environment).communicate("done\n", timeout=60)
        assert not _runs(tmp_path)


def _user(environment: dict[str, str]) -> "subprocess.Popen[str]":
    """A process that uses the services until it reads a line."""
    code = "from qa_webhook import embedded; embedded.acquire(); print('up', flush=True); input()"
    user = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        cwd=local.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert user.stdout
    assert user.stdout.readline() == "up\n"
    return user


def _manage(
    environment: dict[str, str], *arguments: str, through: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*through, sys.executable, MANAGE, *arguments],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _runs(directory: Path) -> bool:
    pid_file = directory / "postgres" / "postmaster.pid"
    return pid_file.exists() and "ready" in pid_file.read_text()
