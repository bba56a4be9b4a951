"""CSV: the first line names the columns; separated by commas, semicolons or tabs."""

import csv
import io
import string
from collections.abc import Generator
from itertools import chain

from locapi.errors import InvalidFix
from locapi.importers.fields import FIELDS, REQUIRED, FieldMapping
from locapi.importers.row import BrokenFile, Row

_SEPARATORS = ",;\t"
_MAX_LINE = 64 * 1024
_MAX_LINES = 100  # of one row, whose quoted cells may contain line ends
_MAX_COLUMNS = 1_000
_MAX_SHOWN_COLUMNS = 30
_OTHER_NAMES = {
    "timestamp": ("time", "datetime", "date_time", "date", "fixtime", "tst", "ts", "minute"),
    "lat": ("latitude",),
    "long": ("longitude", "lon", "lng"),
    "accuracy": ("horizontal_accuracy", "horizontalaccuracy", "acc"),
    "speed": ("velocity", "vel"),
    "user_id": ("user", "userid", "device_id", "deviceid", "tid"),
}


def read(stream: io.BufferedReader, mapping: FieldMapping) -> Generator[Row, None, None]:
    """Yield a row for each line that is not blank."""
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    lines = _Lines(text)
    try:
        first = _next_line(lines)
        if first.lower().startswith("sep="):  # a line for Excel that names the separator
            first = _next_line(lines)
        separator = max(_SEPARATORS, key=first.count)
        # A blank after every separator is part of it; otherwise a user may begin with a blank.
        is_spaced = first.count(f"{separator} ") == first.count(separator)
        rows = csv.reader(chain([first], lines), delimiter=separator, skipinitialspace=is_spaced)
        header = [name.strip() for name in next(rows)]
        if separator == ";":
            mapping = mapping.decimal_commas()
        if header:
            _check(header, mapping)
        for cells in rows:
            if any(map(str.strip, cells)):
                yield _row(f"line {lines.number}", header, cells, mapping)
            lines.of_row = 0
    except csv.Error as error:
        raise BrokenFile(f"line {lines.number}: {error}") from error
    finally:
        text.detach()  # otherwise the wrapper closes the file


class _Lines:
    """The lines of a file, none too long, and not too many for one row."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.number = 0
        self.of_row = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(_MAX_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        self.of_row += 1
        if len(line) == _MAX_LINE:
            raise BrokenFile(f"line {self.number} has more than {_MAX_LINE:,} characters")
        if self.of_row > _MAX_LINES:
            start = self.number - self.of_row + 1
            raise BrokenFile(f"line {start}: a quotation mark is not closed")
        return line


def _next_line(lines: _Lines) -> str:
    """Return the next line that has more than blanks and separators, or "" at the end."""
    for line in lines:
        if line.strip(_SEPARATORS + string.whitespace):
            return line
        lines.of_row = 0
    return ""


def _check(header: list[str], mapping: FieldMapping) -> None:
    """Check that there is one column for each field, instead of rejecting every row.

    A column of accuracies or speeds may be missing, unless it seems to have another name.
    """
    if len(header) > _MAX_COLUMNS:
        raise BrokenFile(
            f"the header has {len(header):,} columns; at most {_MAX_COLUMNS:,} are read"
        )
    names = {field: mapping.name(field) for field in FIELDS}
    for field, name in names.items():
        if header.count(name) > 1:
            raise BrokenFile(
                f"the header has {header.count(name)} columns {name!r}. "
                f"Choose another one with --column {field}=NAME."
            )
    missing = {
        field: name
        for field, name in names.items()
        if name not in header and _is_needed(field, mapping, header)
    }
    if missing:
        found = ", ".join(header[:_MAX_SHOWN_COLUMNS])
        options = " ".join(_option(field, header) for field in missing)
        raise BrokenFile(
            f"missing columns: {', '.join(missing.values())}. Found: {found}. Add {options}."
        )


def _is_needed(field: str, mapping: FieldMapping, header: list[str]) -> bool:
    is_named = field in mapping.names or _likely(field, header) is not None
    return field not in mapping.defaults and (field in REQUIRED or is_named)


def _likely(field: str, header: list[str]) -> str | None:
    return next((name for name in header if name.lower() in _OTHER_NAMES[field]), None)


def _option(field: str, header: list[str]) -> str:
    """Return the option that gives a missing field, with the likely column if there is one."""
    likely = _likely(field, header)
    if likely is None and field == "user_id":
        return "--user USER"
    return f"--column {field}={likely or 'NAME'}"


def _row(place: str, header: list[str], cells: list[str], mapping: FieldMapping) -> Row:
    if any(cells[len(header) :]):
        fault = InvalidFix(
            f"the row has {len(cells)} cells, the header {len(header)} (is a separator unquoted?)"
        )
        return Row(place, cells, fault)
    return mapping.row(place, dict(zip(header, cells, strict=False)))
