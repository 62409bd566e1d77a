"""``python -m faults``: run the matrix, print a table, exit with 1 when a row fails."""

import json
import os
import shutil
import signal
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from faults.matrix import Result

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "faults.md"
_NUMBER: Final = count(1)
_TABLE: Final = ("<!-- table -->", "<!-- end of the table -->")


def main() -> int:
    options = _options()
    # Told to stop, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = Path(tempfile.mkdtemp(prefix="faults-servers-"))
    directory.chmod(0o755)
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL"):
        os.environ.pop(name, None)
    os.environ |= {
        "LOCAL_DIR": str(directory),
        "ENV_FILE": os.devnull,
        "DJANGO_SETTINGS_MODULE": "faults.settings",
        "DATABASE_ROLE": "owner",
        "EGRESS_ALLOW": "127.0.0.1/32",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "ERROR",
    }
    try:
        return _run(options)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument(
        "--only", default="", help="rows to run, like A1,A4 or the letter of a group"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--guards", action="store_true", help="run rows without their guard: red")
    parser.add_argument("--without", default="", metavar="GUARD", help="take this guard away")
    parser.add_argument("--scale", type=int, default=1, help="so many times the people in C1")
    parser.add_argument("--write", action="store_true", help=f"renew its rows in {PAGE.name}")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="keep logs of failures")
    parser.add_argument("--list", action="store_true", help="name the rows and their guards")
    return parser.parse_args()


def _run(options: Namespace) -> int:
    from qa_webhook import embedded, local

    local.create_keys()  # Before the settings read them.
    import django

    django.setup()
    from faults import rows
    from faults.matrix import FAILED, run

    chosen = [each for each in rows.in_order() if _is_chosen(each.id, options.only)]
    if options.guards:
        chosen = [each for each in chosen if each.guard]
    if options.list:
        for each in chosen:
            print(f"{each.id:5} {each.title}" + (f"  [{each.guard}]" if each.guard else ""))
        return 0
    results = []
    embedded.acquire()
    try:
        for each in chosen:
            without = each.guard if options.guards else options.without
            result = run(
                each, without=without, scale=options.scale, world=_database, keep=options.keep
            )
            results.append(result)
            print(_line(result, without), flush=True)
            # At once: a run that is ended has shown what it saw.
            if options.json:
                found = {"rows": [each.to_json() for each in results]}
                text = json.dumps(found, indent=2, default=str, ensure_ascii=False)
                options.json.write_text(text)
            if options.write:
                _write(result)
    finally:
        embedded.release()
    if options.guards:
        return int(any(each.verdict != FAILED for each in results))
    return int(any(each.verdict == FAILED for each in results))


def _is_chosen(row_id: str, only: str) -> bool:
    names = [each for each in only.split(",") if each]
    return not names or row_id in names or row_id[0] in names


@contextmanager
def _database() -> Iterator[None]:
    from qa_webhook import embedded, scratch
    from tests import database

    # The row before may have failed while a server was down, and left its database.
    embedded._start()
    name = f"{database.PREFIX}{os.getpid()}_{next(_NUMBER)}_faults"
    with database.throw_away(name):
        # As in an installation: what was committed is there after a crash.
        with scratch.owner_session() as cursor:
            scratch.execute(cursor, "ALTER DATABASE {} RESET synchronous_commit", name)
        yield


def _shown(result: "Result") -> str:
    return ", ".join(f"{name} {value}" for name, value in result.figures.items() if name != "tests")


def _line(result: "Result", without: str) -> str:
    mark = f" without {without}" if without else ""
    text = result.reason or _shown(result)
    row = result.row
    return f"{row.id:5} {result.verdict:8}{mark} {result.seconds:6.1f} s  {row.title}: {text}"


def _write(result: "Result") -> None:
    """Renew this row of the table in the documentation; the others keep their last."""
    from faults import rows

    before, _mark, rest = PAGE.read_text(encoding="utf-8").partition(_TABLE[0])
    last, _mark, after = rest.partition(_TABLE[1])
    lines = {line.split(" | ")[0]: line for line in last.splitlines() if line.startswith("| ")}
    row, text = result.row, (result.reason or _shown(result)).replace("|", "\\|")
    lines[f"| {row.id}"] = (
        f"| {row.id} | {row.title} | {text} | {result.verdict} | {result.seconds:.0f} |"
    )
    head = ["| row | what is done | figures | verdict | seconds |", "|---|---|---|---|---|"]
    known = [f"| {each.id}" for each in rows.in_order()]
    body = [lines[each] for each in known if each in lines]
    table = "\n".join([_TABLE[0], "", *head, *body, "", _TABLE[1]])
    PAGE.write_text(before + table + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
