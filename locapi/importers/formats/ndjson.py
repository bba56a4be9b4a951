"""NDJSON: one JSON object a line, such as what a phone sends to the API."""

from collections.abc import Generator
from io import BufferedReader

from locapi.errors import InvalidFix
from locapi.importers.fields import FieldMapping
from locapi.importers.json_lines import decode_object, read_lines
from locapi.importers.row import BadRow, Row


def read(stream: BufferedReader, mapping: FieldMapping) -> Generator[Row, None, None]:
    """Yield a row for each line that is not blank."""
    for place, line in read_lines(stream):
        try:
            yield mapping.row(place, decode_object(line))
        except BadRow as fault:
            yield Row(place, line, InvalidFix(str(fault)))
