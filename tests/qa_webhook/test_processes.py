"""Several processes as one: prefixed, started again, stopped together."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from qa_webhook.processes import Process, Supervisor

WAIT_FOR_EVER = "import time; print('up', flush=True); time.sleep(600)"


def _process(name: str, code: str) -> Process:
    return Process(name, [sys.executable, "-c", code], dict(os.environ))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def _interrupt_when(condition: Callable[[], bool]) -> Callable[[], None]:
    def wait() -> None:
        _until(condition)
        signal.raise_signal(signal.SIGINT)

    return wait


def test_lines_are_prefixed_and_ctrl_c_stops_everything() -> None:
    output = io.StringIO()
    processes = [_process("web", WAIT_FOR_EVER), _process("receiver", WAIT_FOR_EVER)]
    both_up = _interrupt_when(lambda: output.getvalue().count("| up") == 2)

    code = Supervisor(processes, output=output).run(started=both_up)

    assert code == 0
    assert "web      | up\n" in output.getvalue()
    assert "receiver | up\n" in output.getvalue()
    assert all(process.child and process.child.returncode == -15 for process in processes)


def test_who_serves_the_others_is_stopped_after_them() -> None:
    """Each says when it was stopped; the one that works takes its time."""
    output = io.StringIO()
    ends = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit());"
        "print('up', flush=True)\n"
        "try: time.sleep(600)\n"
        "finally: time.sleep({}); print('down', flush=True)"
    )
    processes = [
        Process(name, [sys.executable, "-c", ends.format(rest)], dict(os.environ), serves=serves)
        for name, rest, serves in [
            ("web", 0, True),
            ("receiver", 0.2, True),
            ("sender", 0.4, False),
        ]
    ]
    all_up = _interrupt_when(lambda: output.getvalue().count("| up") == 3)

    Supervisor(processes, output=output).run(started=all_up)

    down = [line.split()[0] for line in output.getvalue().splitlines() if line.endswith("| down")]
    assert down == ["sender", "receiver", "web"]


def test_what_is_killed_is_started_again() -> None:
    output = io.StringIO()
    process = _process("sender", WAIT_FOR_EVER)

    def kill_once() -> None:
        _until(lambda: output.getvalue().count("| up") == 1)
        assert process.child
        process.child.kill()
        _until(lambda: output.getvalue().count("| up") == 2)
        signal.raise_signal(signal.SIGINT)

    code = Supervisor([process], output=output).run(started=kill_once)

    assert code == 0
    assert "sender | ended with -9; starting it again\n" in output.getvalue()


def test_what_dies_again_and_again_ends_it_all() -> None:
    output = io.StringIO()
    sound = _process("web", WAIT_FOR_EVER)
    broken = _process("sender", "raise SystemExit(3)")

    code = Supervisor([sound, broken], output=output).run(started=lambda: None)

    assert code == 1
    assert "sender | ended with 3 again and again; stopping the rest\n" in output.getvalue()
    assert sound.child
    assert sound.child.returncode == -15


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from qa_webhook.processes import Process, Supervisor\n"
        "child = [sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True);"
        " time.sleep(600)']\n"
        "Supervisor([Process('web', child, dict(os.environ))], output=sys.stdout)"
        ".run(started=lambda: None)\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert supervisor.stdout
    child = int(supervisor.stdout.readline().split("|")[1])

    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()

    _until(lambda: not _is_running(child))


def test_what_a_child_leaves_behind_ends_with_it() -> None:
    """As a worker that is stopped before it can stop its own children."""
    output = io.StringIO()
    code = "import os, time\nif os.fork() == 0: print(os.getpid(), flush=True)\ntime.sleep(600)"
    up = _interrupt_when(lambda: output.getvalue().count("|") == 1)

    Supervisor([_process("worker", code)], output=output).run(started=up)

    _until(lambda: not _is_running(int(output.getvalue().split("|")[1])))


def _is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def test_the_threads_are_gone_afterwards() -> None:
    before = threading.active_count()

    Supervisor([_process("web", "raise SystemExit(1)")], output=io.StringIO()).run(
        started=lambda: None
    )

    _until(lambda: threading.active_count() <= before)
