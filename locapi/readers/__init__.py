"""Files of fixes, read row by row; a module a format, each loaded when it is needed."""

import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import BinaryIO

from locapi.errors import UnreadableFile
from locapi.readers.columns import Columns
from locapi.readers.rows import Broken, Row
from locapi.readers.source import Source

MODULES = {
    "csv": "delimited",  # not to be taken for Python's own
    "ndjson": "ndjson",
    "gpx": "gpx",
    "geojson": "geojson",
    "google": "google",
}


def read(source: Source, form: str, columns: Columns) -> Iterator[Row]:
    """Yield a file's rows in order, in memory that does not grow with it.

    Raises UnreadableFile where it breaks off, once all before it was yielded.
    """
    rows: Callable[[BinaryIO, Columns], Iterator[Row]]
    rows = import_module(f"locapi.readers.{MODULES[form]}").rows
    where = "at its beginning"
    try:
        for row in rows(source.stream, columns):
            where = f"after {row.place}"
            yield row
    except (Broken, EOFError, OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableFile(f"{source.name} cannot be read on {where}: {reason}") from error
