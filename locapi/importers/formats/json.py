"""JSON: an array of flat objects, or an object that holds such arrays, one object for each fix."""

from collections.abc import Generator
from io import BufferedReader

from locapi.importers.fields import FieldMapping
from locapi.importers.json_stream import elements
from locapi.importers.row import Row, Skipped


def read(stream: BufferedReader, mapping: FieldMapping) -> Generator[Row | Skipped, None, None]:
    """Yield a row for each object in an array."""
    for key, place, value in elements(stream):
        if isinstance(value, dict) and key is not None:
            yield mapping.row(place, value)
        elif key is not None:
            yield Skipped("value that is not an object")
