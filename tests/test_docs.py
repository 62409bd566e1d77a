"""The documentation tells the truth: links lead somewhere, and what it names is in the code.

``WRITE_DOCS=1 pytest tests/test_docs.py`` writes the generated page of commands.
"""

import argparse
import base64
import json
import os
import re
import secrets
import shlex
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import fields
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.utils.translation import override

from identity.conditions import OPERATORS
from journeys.choices import JourneyState, RunState
from journeys.demo.running import Figures
from webhooks.answers import reason_sentence
from webhooks.choices import DeliveryState
from webhooks.retry import SCHEDULE
from webhooks.signing import Signer
from workspaces.choices import PRESET_POINTS, Preset, Scope
from workspaces.points import POINT_LABELS, Point

ROOT: Final = Path(settings.BASE_DIR)
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted(
    [*ROOT.glob("*.md"), *(path for path in DOCS.rglob("*.md") if path.is_file())]
)
COMMANDS_PAGE: Final = DOCS / "reference" / "commands.md"
APPS: Final = ("workspaces", "identity", "webhooks", "journeys", "qa_webhook")
# Django's own, which the pages also tell to run.
DJANGO_COMMANDS: Final = frozenset({"createsuperuser", "collectstatic", "help"})

_CODE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors_of(path: Path) -> set[str]:
    headings = _HEADING.findall(_CODE.sub("", path.read_text(encoding="utf-8")))
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        for heading in headings
    }


def shell_lines(text: str) -> Iterator[str]:
    """Yield the commands of the page's console blocks, continued lines as one."""
    for language, block in _BLOCK.findall(text):
        if language == "console":
            for line in block.replace("\\\n", " ").splitlines():
                if line.lstrip().startswith("$ "):
                    yield line.lstrip()[2:].partition("  #")[0].strip()


def own_commands() -> dict[str, str]:
    """Return our commands by name with their app; the apps in the order of their layers."""
    found = {name: app for name, app in get_commands().items() if app in APPS}
    return dict(sorted(found.items(), key=lambda pair: (APPS.index(pair[1]), pair[0])))


def parser_of(name: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = load_command_class(own_commands()[name], name).create_parser(
        "manage.py", name
    )
    return parser


# --- Links, pictures, navigation ------------------------------------------------------------------


@pytest.mark.parametrize("document", PAGES, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    wrong = []
    for target in _LINK.findall(_CODE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _hash, anchor = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        if not path.is_file() or (anchor and anchor not in anchors_of(path)):
            wrong.append(target)
    assert wrong == []


def test_every_page_is_in_the_navigation_once() -> None:
    def pages(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, Mapping):
            for value in entry.values():
                yield from pages(value)
        else:
            for each in entry:
                yield from pages(each)

    listed = sorted(pages(yaml.safe_load(text_of("mkdocs.yml"))["nav"]))
    decisions = {"decisions/" + path.name for path in (DOCS / "decisions").glob("0*.md")}
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert listed == sorted(written - decisions)


def test_every_decision_is_in_their_index() -> None:
    index = text_of("docs/decisions/README.md")
    missing = [path.name for path in (DOCS / "decisions").glob("0*.md") if path.name not in index]
    assert missing == []


# --- Words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", PAGES, ids=named)
def test_pages_are_plain_and_finished(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    froth = re.findall(
        r"\b(?:seamless\w*|blazing\w*|effortless\w*|cutting.edge|world.class|powerful|robust"
        r"|leverag\w+|game.chang\w+|supercharg\w+|unlock\w*|TODO|TBD|FIXME|lorem)\b",
        text,
        re.IGNORECASE,
    )
    places = re.findall(r"(?:/home/|/root/|/Users/)\w+", text)
    assert froth + places == []
    assert str(ROOT) not in text
    assert not re.search(r"[A-Z]+-PLACE\b", text)


def test_readme_has_the_products_name() -> None:
    name = settings.PRODUCT_NAME
    assert text_of("README.md").startswith(f"# {name}\n")
    assert yaml.safe_load(text_of("mkdocs.yml"))["site_name"] == name


# --- Commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", PAGES, ids=named)
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    told = set(re.findall(r"(?:`|\$ |=\S+ )make ([a-z]+)", document.read_text(encoding="utf-8")))
    assert told - targets == set()


@pytest.mark.parametrize("document", PAGES, ids=named)
def test_commands_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    told = set(re.findall(r"manage\.py ([a-z_]+)", text))
    assert told - own_commands().keys() - DJANGO_COMMANDS == set()


@pytest.mark.parametrize("document", PAGES, ids=named)
def test_commands_are_told_with_options_that_they_take(document: Path) -> None:
    for line in shell_lines(document.read_text(encoding="utf-8")):
        before, _name, after = line.partition("manage.py ")
        if not after or not before.endswith(("python ", "python")):
            continue
        name, *arguments = shlex.split(after)
        if name in DJANGO_COMMANDS or name == "setup":
            continue
        parser_of(name).parse_args(arguments)


def test_the_page_of_commands_is_what_they_say() -> None:
    generated = commands_page()
    if os.environ.get("WRITE_DOCS"):
        COMMANDS_PAGE.write_text(generated, encoding="utf-8")
    assert COMMANDS_PAGE.read_text(encoding="utf-8") == generated, (
        "Bring it up to date: WRITE_DOCS=1 pytest tests/test_docs.py"
    )


def commands_page() -> str:
    lines = [
        "# Commands",
        "",
        "`python manage.py NAME`, in the order of the layers. Made from their own help, which",
        "`python manage.py NAME --help` shows as well.",
        "",
    ]
    with override("en"):
        for name in own_commands():
            lines += _command_lines(name)
    return "\n".join(lines).rstrip() + "\n"


def _command_lines(name: str) -> list[str]:
    parser = parser_of(name)
    lines = [f"## {name}", "", *_description(parser), ""]
    if own_commands()[name] == "qa_webhook" and name == "migrate":
        return lines  # Its options are Django's.
    lines += _table(parser)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                lines += [f"### {name} {word}", "", *_description(below), "", *_table(below)]
    return lines


def _description(parser: argparse.ArgumentParser) -> list[str]:
    text = (parser.description or "").strip()
    if "\n" in text:
        return ["```text", text, "```"]
    return [text.replace("<", "\\<")]


def _table(parser: argparse.ArgumentParser) -> list[str]:
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or action.dest in _DJANGOS:
            continue
        label = ", ".join(action.option_strings) or str(action.metavar or action.dest).upper()
        if action.option_strings and action.nargs != 0:
            label += f" {action.metavar or action.dest.upper()}"
        told = (action.help or "") % {"default": action.default, "prog": parser.prog}
        if action.choices:
            told = "; ".join(filter(None, [told, "one of " + ", ".join(map(str, action.choices))]))
        if action.required and action.option_strings:
            told = f"{told} (required)".strip()
        rows.append(f"| `{label}` | {told.replace('|', chr(92) + '|')} |")
    return ["| option | |", "|---|---|", *rows, ""] if rows else []


_DJANGOS: Final = frozenset(
    {
        "help",
        "version",
        "verbosity",
        "settings",
        "pythonpath",
        "traceback",
        "no_color",
        "force_color",
        "skip_checks",
    }
)


# --- Reference ------------------------------------------------------------------------------------


def test_every_variable_is_explained() -> None:
    source = text_of("qa_webhook/settings.py") + text_of("qa_webhook/local.py")
    read = set(re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', source))
    read |= set(re.findall(r'_secret\("([A-Z_]+)"\)', source))
    read |= set(re.findall(r'os\.environ\.get\("([A-Z_]+)"\)', source))
    read |= {"EMAIL_URL"}
    told = set(re.findall(r"^\| `([A-Z_]+)`", text_of("docs/reference/settings.md"), re.MULTILINE))
    assert told == read


def test_the_example_names_only_known_variables() -> None:
    told = set(re.findall(r"^#?([A-Z_]+)=", text_of(".env.example"), re.MULTILINE))
    explained = text_of("docs/reference/settings.md")
    passwords = {"POSTGRES_PASSWORD", "OWNER_PASSWORD", "APP_PASSWORD", "BROKER_PASSWORD"}
    assert [name for name in told - passwords if f"`{name}`" not in explained] == []


@pytest.mark.parametrize("point", Point)
def test_points_and_who_has_them(point: Point) -> None:
    with override("en"):
        has = ["yes" if point in PRESET_POINTS[preset] else "–" for preset in Preset]
        row = " | ".join([f"| `{point}`", str(POINT_LABELS[point]), *has]) + " |"
    assert row in text_of("docs/reference/permissions.md")


def test_states_are_explained() -> None:
    text = text_of("docs/reference/states.md")
    states = [*JourneyState, *RunState, *DeliveryState]
    assert [state.value for state in states if f"| `{state.value}`" not in text] == []


def test_reasons_are_told_as_on_screen() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (?:skipped|failed|accepted|cancelled|too late|waiting)[\w ,]* \| (.+) \|$",
        text_of("docs/reference/states.md"),
        re.MULTILINE,
    )
    assert len(rows) >= 20
    with override("en"):
        assert [row for row in rows if str(reason_sentence(row[0])) != row[1]] == []


def test_the_wire_formats_delays_are_the_schedule() -> None:
    assert [delay.total_seconds() for delay in SCHEDULE] == [
        5, 30, 2 * 60, 10 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600,
    ]  # fmt: skip
    for page in ("reference/wire-format.md", "how-to/receive-webhooks.md"):
        text = " ".join(text_of(f"docs/{page}").split())
        assert "5 s, 30 s, 2 min, 10 min, 30 min, 2 h, 5 h and 10 h" in text


def test_operators_of_rules_are_listed() -> None:
    text = text_of("docs/how-to/import-people.md")
    rows = [
        f"| {kind} | " + ", ".join(f"`{operator}`" for operator in operators) + " |"
        for kind, operators in OPERATORS.items()
    ]
    assert [row for row in rows if row not in text] == []


def test_the_demos_figures_are_explained() -> None:
    text = text_of("docs/explanation/measured.md")
    assert [each.name for each in fields(Figures) if f"`{each.name}`" not in text] == []


def test_scopes_are_listed() -> None:
    text = text_of("docs/reference/api.md")
    assert [scope.value for scope in Scope if f"| `{scope.value}` |" not in text] == []


# --- The example receiver -------------------------------------------------------------------------


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Run the receiver of the how-to; yield its address and its key."""
    key = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    monkeypatch.setenv("WEBHOOK_SECRET", key)
    monkeypatch.chdir(tmp_path)
    blocks = dict(_BLOCK.findall(text_of("docs/how-to/receive-webhooks.md")))
    names: dict[str, Any] = {"__name__": "example"}
    exec(blocks["python"], names)
    names["Handler"].log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), names["Handler"])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", key
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_example_takes_signed_messages_once(
    example: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, key = example
    blocks = [
        json.loads(block)
        for language, block in _BLOCK.findall(text_of("docs/reference/wire-format.md"))
        if language == "json"
    ]
    body = json.dumps(blocks[0]).encode()

    assert post(url, body, key) == 200
    assert post(url, body, key) == 200
    assert post(url, body + b" ", key, signed=body) == 401
    assert post(url, body, key, age=600) == 401

    assert capsys.readouterr().out.count("13800000000") == 1


def post(url: str, body: bytes, key: str, *, signed: bytes = b"", age: int = 0) -> int:
    stamp = int(time.time()) - age
    headers = {
        "webhook-id": "msg_example",
        "webhook-timestamp": str(stamp),
        "webhook-signature": Signer([key]).sign("msg_example", stamp, signed or body),
    }
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
