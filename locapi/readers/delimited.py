"""CSV: the first line names the columns; separated by commas, semicolons or tabs."""

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

from locapi.errors import InvalidFix, Misconfigured
from locapi.readers.columns import FIELDS, Columns
from locapi.readers.rows import Broken, Row

_SEPARATORS = ",;\t"
_MAX_LINE = 64 * 1024
_OPTIONS = {"user_id": "user", "accuracy": "accuracy", "speed": "speed"}
_MAX_LINES = 100  # of one row, whose quoted cells may have line ends in them


def rows(stream: BinaryIO, columns: Columns) -> Iterator[Row]:
    """Yield a row for each line that is not blank. Raises Misconfigured for a header that lacks."""
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        lines = _Lines(text)
        first = next(lines, "")
        separator = max(_SEPARATORS, key=first.count)
        header = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
        if header:
            _check(header, columns)
        for cells in csv.reader(lines, delimiter=separator):
            if any(cells):
                yield _row(f"line {lines.number}", header, cells, columns)
            lines.of_row = 0
    except csv.Error as error:
        raise Broken(f"line {lines.number}: {error}") from error
    finally:
        text.detach()  # else the file is closed with it


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
            raise Broken(f"line {self.number} has more than {_MAX_LINE:,} characters")
        if self.of_row > _MAX_LINES:
            raise Broken(f"line {self.number}: a quotation that does not end")
        return line


def _check(header: list[str], columns: Columns) -> None:
    """See that there is one column for each field, rather than reject every row for it."""
    for field in FIELDS:
        name = columns.name(field)
        found = header.count(name)
        if found > 1 or (not found and field not in columns.defaults):
            raise Misconfigured(
                f"the header has {found or 'no'} columns {name!r} for {field}, but "
                f"{', '.join(header)}; say which one with --column {field}=NAME"
                + (f", or what all have with --{_OPTIONS[field]}" if field in _OPTIONS else "")
            )


def _row(place: str, header: list[str], cells: list[str], columns: Columns) -> Row:
    values = dict(zip(header, cells, strict=False))
    if any(cells[len(header) :]):
        fault = InvalidFix(f"the row has {len(cells)} cells, where the header has {len(header)}")
        return Row(place, cells, fault)
    return Row(place, values, columns.pick_text(values))
