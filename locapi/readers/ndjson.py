"""NDJSON: a line is what a phone sends, judged as the API judges it; or foreign, with columns."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from locapi import schema
from locapi.errors import InvalidFix
from locapi.readers.columns import Columns
from locapi.readers.rows import Row

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def rows(stream: BinaryIO, columns: Columns) -> Iterator[Row]:
    """Yield a row for each line that is not blank."""
    for number, line in enumerate(_lines(stream), 1):
        body = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        if body.strip():
            body = body.rstrip(b"\r\n")
            yield Row(f"line {number}", body.decode(errors="backslashreplace"), _fix(body, columns))


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines, of each no more than it takes to see that it is too long."""
    enough = schema.MAX_BODY_BYTES + 3
    while line := stream.readline(enough):
        yield line
        while len(line) == enough and not line.endswith(b"\n"):
            line = stream.readline(enough)


def _fix(body: bytes, columns: Columns) -> dict[str, Any] | InvalidFix:
    try:
        values = schema.decode(body)
    except InvalidFix as fault:
        return fault
    # Without names for columns nothing is passed over: an unknown field is a fault, as in the API.
    return columns.pick(values) if columns.names else columns.complete(values)
