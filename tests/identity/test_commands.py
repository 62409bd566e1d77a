"""The import commands, as an operator or a script meets them."""

import csv
import gzip
import io
import json
import os
import pty
import select
import termios
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from identity.models import Audience, DataSource, Event, Profile
from tests.factories import make_member
from tests.identity.factories import (
    make_data_source,
    make_event_type,
    make_id_type,
    make_plain_workspace,
    make_tag,
)
from workspaces.models import AuditEntry, Workspace
from workspaces.points import Point

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace() -> Workspace:
    workspace = make_plain_workspace(slug="acme")
    make_id_type(workspace, "ONEID", multi_value=False, in_mapping=True)
    make_id_type(workspace, "MOBILE", in_mapping=True)
    return workspace


@pytest.fixture
def crm(workspace: Workspace) -> DataSource:
    return make_data_source(workspace, "crm")


def run(name: str, file: Path | str, *arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(
        name, "--workspace", "acme", "--source", "crm", *arguments, str(file), stdout=out, **options
    )
    return out.getvalue()


def test_a_gzip_file_comes_in_and_the_figures_are_said(crm: DataSource, tmp_path: Path) -> None:
    file = tmp_path / "members.csv.gz"
    file.write_bytes(gzip.compress(b"ONEID,MOBILE\nA1,13800000001\nA2,13800000002\n"))

    said = run("import_identifiers", file)

    assert "2 of 2 lines were imported" in said
    assert "2 people were new." in said
    assert Profile.objects.count() == 2


def test_lines_left_out_are_counted_written_down_and_in_the_exit_code(
    crm: DataSource, tmp_path: Path
) -> None:
    file, rejects = tmp_path / "members.csv", tmp_path / "rejects.csv"
    file.write_text("MOBILE\n13800000001\nx\n,\n")

    with pytest.raises(SystemExit) as ended:
        run("import_identifiers", file, "--rejects", str(rejects))

    assert ended.value.code == 3
    assert list(csv.reader(rejects.read_text().splitlines())) == [
        ["line", "column", "reason"],
        ["3", "MOBILE", "A mobile number has 5 to 15 digits; “+”, spaces and hyphens are allowed."],
        ["4", "", "The line and the header differ in length: 2 and 1 values."],
    ]


def test_the_figures_come_as_json(crm: DataSource, tmp_path: Path) -> None:
    file = tmp_path / "members.jsonl"
    file.write_text('{"ONEID": "A1"}\n')

    figures = json.loads(run("import_identifiers", file, "--json", "--dry-run"))

    assert figures["accepted"] == figures["new_people"] == 1
    assert figures["dry_run"] is True
    assert figures["reasons"] == {}
    assert not Profile.objects.exists()


def test_a_terminal_shows_how_far_the_file_is_and_a_log_shows_nothing(
    crm: DataSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "members.csv"
    file.write_text("ONEID\nA1\nA2\n")

    run("import_identifiers", file)
    log = capfd.readouterr().err
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr("sys.stderr", terminal)
        run("import_identifiers", file)
        terminal.flush()
        is_there, _, _ = select.select([ours], [], [], 2)
        shown = os.read(ours, 10_000).decode() if is_there else ""
    os.close(ours)

    assert log == ""
    assert "100%|" in shown
    assert "lines=2" in shown


def test_standard_input_is_read(crm: DataSource, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.TextIOWrapper(io.BytesIO(b"ONEID\nA1\n"))
    monkeypatch.setattr("sys.stdin", pipe)

    run("import_identifiers", "-")

    assert Profile.objects.count() == 1


def test_tags_events_and_an_audience_come_in(crm: DataSource, tmp_path: Path) -> None:
    make_tag(crm.workspace, "city", data_source=crm)
    make_event_type(crm.workspace, "purchase")
    tags, events, people = (tmp_path / name for name in ("tags", "events", "people"))
    tags.write_text("ONEID,city\nA1,Bath\n")
    events.write_text("ONEID,event_id,event_type,occurred_at,amount\nA1,e1,purchase,2020-01-01,5\n")
    people.write_text("ONEID\nA1\n")

    run("import_tags", tags)
    run("import_events", events)
    run("import_audience", people, "--audience", "Spring")

    assert Profile.objects.get().tags == {"city": "Bath"}
    assert Event.objects.count() == 1
    assert Audience.objects.get(name="Spring").members.count() == 1


def test_a_dry_run_makes_no_audience(crm: DataSource, tmp_path: Path) -> None:
    file = tmp_path / "people"
    file.write_text("ONEID\nA1\n")

    said = run("import_audience", file, "--audience", "Spring", "--create-people", "--dry-run")

    assert "1 of 1 people would be imported" in said
    assert not Audience.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--workspace", "nowhere"], "No workspace has the short name “nowhere”."),
        (["--source", "shop"], "The workspace has no data source “shop”. There are: crm."),
        (["/no/such/file"], "/no/such/file cannot be opened: No such file or directory."),
    ],
)
def test_what_is_not_there_is_named(
    crm: DataSource, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    file = tmp_path / "members.csv"
    file.write_text("ONEID\nA1\n")
    given = ["--workspace", "acme", "--source", "crm", *arguments]
    if arguments[0].startswith("--"):
        given.append(str(file))

    with pytest.raises(CommandError) as caught:
        call_command("import_identifiers", *given)

    assert str(caught.value).startswith(sentence)


def test_a_member_needs_the_right_and_is_named_in_the_audit(
    crm: DataSource, tmp_path: Path
) -> None:
    file = tmp_path / "members.csv"
    file.write_text("ONEID\nA1\n")
    manager = make_member(crm.workspace, None, points=[Point.MANAGE_DATA])
    marketer = make_member(crm.workspace, None, points=[Point.AUTOMATED_MARKETING])

    with pytest.raises(CommandError, match="may not do this"):
        run("import_identifiers", file, "--as", marketer.email)
    run("import_identifiers", file, "--as", manager.email)

    assert AuditEntry.objects.get(action="identifiers.imported").actor == manager
