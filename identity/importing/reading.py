"""Turning a file into numbered rows: CSV or JSON Lines, gzip or not, from a file or a pipe."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast

from django.utils.translation import gettext as _

from identity.importing.report import ImportFileError, Reject, RejectSink

FORMATS: Final = ("csv", "jsonl")
_DELIMITERS: Final = ",;\t|"
# A cell longer than this is a quotation mark that nobody closed.
_MAX_CELL: Final = 200_000
_MAX_LINE: Final = 2_000_000

Row = Sequence[Any]


@dataclass(slots=True)
class Table:
    """Rows with the number of the line that each begins on.

    ``columns`` are those of the header; None when every row is an object that names its own.
    """

    columns: tuple[str, ...] | None
    rows: Iterable[tuple[int, Any]]
    # Called by the reader for lines that are no row.
    on_reject: RejectSink | None = None

    def reject(self, line: int, reason: str) -> None:
        if self.on_reject:
            self.on_reject(Reject(line, "", reason))


def from_rows(columns: Sequence[str], rows: Iterable[Row]) -> Table:
    """Make a table of rows in memory, as the demo does."""
    return Table(tuple(columns), enumerate(rows, start=1))


def read(
    stream: BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 - the option's name
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> Table:
    """Read a file; gzip and the format are recognised by its first bytes.

    Raises:
        ImportFileError: here or while rows are read, when the file cannot be gone on with.
    """
    buffered = cast(
        io.BufferedReader,
        stream if hasattr(stream, "peek") else io.BufferedReader(cast(Any, stream)),
    )
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        buffered = io.BufferedReader(cast(Any, gzip.GzipFile(fileobj=buffered)))
    try:
        start = buffered.peek(4)[:4]
    except (OSError, EOFError, zlib.error):
        raise _broken_gzip(1) from None
    if not start:
        raise ImportFileError(_("The file is empty."))
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ImportFileError(
            _(
                "The file is UTF-16. Save it as “CSV UTF-8”, or convert it: "
                "iconv -f UTF-16 -t UTF-8."
            )
        )
    lines = _Lines(buffered, encoding)
    if format is None:
        format = "jsonl" if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" else "csv"  # noqa: A001
    if format == "jsonl":
        return _json_lines(lines)
    return _csv(lines, delimiter)


def _broken_gzip(line: int) -> ImportFileError:
    return ImportFileError(
        _("The gzip file is damaged after line %(line)d. Copy it here again.") % {"line": line}
    )


class _Lines:
    """Decoded lines of a byte stream, remembering where a NUL was."""

    def __init__(self, stream: Iterable[bytes], encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self.number = 0
        self.with_nul: list[int] = []

    def __iter__(self) -> Iterator[str]:
        encoding = "utf-8-sig" if self._encoding.lower() in {"utf-8", "utf8"} else self._encoding
        try:
            for raw in self._stream:
                self.number += 1
                if b"\x00" in raw:
                    self.with_nul.append(self.number)
                    raw = raw.replace(b"\x00", b"")  # noqa: PLW2901
                if len(raw) > _MAX_LINE:
                    raise ImportFileError(
                        _("Line %(line)d is longer than 2 MB. Is this a CSV or JSON Lines file?")
                        % {"line": self.number}
                    )
                yield raw.decode(encoding)
                if encoding == "utf-8-sig":
                    encoding = "utf-8"
        except UnicodeDecodeError as error:
            raise self._wrong_encoding(error) from None
        except LookupError:
            raise ImportFileError(
                _("There is no encoding “%(name)s”. Try utf-8, gb18030, big5 or cp1252.")
                % {"name": self._encoding}
            ) from None
        except (OSError, EOFError, zlib.error):
            raise _broken_gzip(self.number) from None

    def _wrong_encoding(self, error: UnicodeDecodeError) -> ImportFileError:
        raw = bytes(error.object)
        guess = next((name for name in ("gb18030", "cp1252") if _decodes(raw, name)), "gb18030")
        return ImportFileError(
            _(
                "Line %(line)d is not %(encoding)s. Save the file as “CSV UTF-8”, or say which "
                "encoding it has: --encoding %(guess)s."
            )
            % {"line": self.number, "encoding": self._encoding.upper(), "guess": guess}
        )


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _csv(lines: _Lines, delimiter: str | None) -> Table:
    source = iter(lines)
    header_line = next(source)
    if lines.with_nul:
        raise ImportFileError(
            _("The header holds NUL bytes, so this is no text file. Save it as “CSV UTF-8”.")
        )
    delimiter = delimiter or max(_DELIMITERS, key=header_line.count)
    columns = tuple(
        name.strip() for name in next(csv.reader([header_line], delimiter=delimiter), [])
    )
    if not any(columns):
        raise ImportFileError(_("The first line has no column names."))
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise ImportFileError(
            _("The column “%(name)s” is there twice. Remove one of the two.") % {"name": twice[0]}
        )
    table = Table(columns, [])
    table.rows = _csv_rows(lines, source, delimiter, table)
    return table


def _csv_rows(
    lines: _Lines, source: Iterator[str], delimiter: str, table: Table
) -> Iterator[tuple[int, Row]]:
    width = len(table.columns or ())
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(source, delimiter=delimiter)
    begins = lines.number + 1
    with_nul = lines.with_nul
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise ImportFileError(
                _(
                    "The value that begins on line %(line)d does not end. "
                    "Is a quotation mark missing?"
                )
                % {"line": begins}
            ) from None
        line, begins = begins, lines.number + 1
        if with_nul and with_nul[-1] >= line:
            table.reject(line, _("The line holds a NUL byte."))
        elif len(row) == width:
            yield line, row
        elif row:
            table.reject(line, _row_width(len(row), width))


def _row_width(found: int, wanted: int) -> str:
    return _("The line and the header differ in length: %(found)d and %(wanted)d values.") % {
        "found": found,
        "wanted": wanted,
    }


def _json_lines(lines: _Lines) -> Table:
    table = Table(None, [])
    table.rows = _json_rows(lines, table)
    return table


def _json_rows(lines: _Lines, table: Table) -> Iterator[tuple[int, dict[str, Any]]]:
    loads: Callable[[str], Any] = json.loads
    for line in lines:
        number = lines.number
        if lines.with_nul and lines.with_nul[-1] == number:
            table.reject(number, _("The line holds a NUL byte."))
            continue
        if line.isspace():
            continue
        try:
            row = loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            yield number, row
        else:
            table.reject(number, _("The line is not one JSON object."))
