"""Files of fixes, read row by row; a module a format, each loaded when it is needed."""

import zlib
from collections.abc import Callable, Generator
from contextlib import closing
from importlib import import_module
from typing import BinaryIO

from locapi.errors import Misconfigured, UnreadableFile
from locapi.readers.columns import Columns
from locapi.readers.rows import Broken, Row
from locapi.readers.source import Source

_REMEDY = "mend the file and import it again"
MODULES = {
    "csv": "delimited",  # not to be taken for Python's own
    "ndjson": "ndjson",
    "gpx": "gpx",
    "geojson": "geojson",
    "google": "google",
}


def read(source: Source, form: str, columns: Columns) -> Generator[Row, None, None]:
    """Yield a file's rows in order, in memory that does not grow with it.

    Raises UnreadableFile where it breaks off, once all before it was yielded, and
    Misconfigured where more must be told.
    """
    rows: Callable[[BinaryIO, Columns], Generator[Row, None, None]]
    rows = import_module(f"locapi.readers.{MODULES[form]}").rows
    where = "at its beginning"
    try:
        with closing(rows(source.stream, columns)) as found:
            for row in found:
                where = f"after {row.place}"
                yield row
    except Misconfigured as error:
        raise Misconfigured(f"{source.name}: {error}") from error
    except (Broken, EOFError, OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableFile(
            f"{source.name} cannot be read on {where}: {reason}; {_REMEDY}"
        ) from error
