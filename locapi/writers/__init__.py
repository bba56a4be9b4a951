"""The formats that minutes are written in; a writer is loaded only when it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from locapi.errors import Misconfigured, needing
from locapi.export import Minutes

Write = Callable[[Minutes, Any], None]


@dataclass(frozen=True)
class Format:
    """Where a format's writer is, and what the format can bear."""

    writer: str
    suffixes: tuple[str, ...] = ()
    binary: bool = False
    rows: bool = True  # one a minute, so that there is a place for more columns

    def load(self) -> Write:
        """Return what writes this format to a text file, or a binary one if it is `binary`.

        Raises Misconfigured where the library it takes is not installed.
        """
        module, function = self.writer.split(":")
        with needing("export"):
            write: Write = getattr(import_module(f"{__name__}.{module}"), function)
        return write


FORMATS = {
    "csv": Format("rows:write_csv", (".csv",)),
    "ndjson": Format("rows:write_ndjson", (".ndjson", ".jsonl")),
    "parquet": Format("parquet:write", (".parquet",), binary=True),
    "geojson": Format("geojson:write_points", (".geojson",)),
    "geojson-tracks": Format("geojson:write_tracks", rows=False),
    "gpx": Format("gpx:write", (".gpx",), rows=False),
    "kml": Format("kml:write", (".kml",), rows=False),
}


def guess(path: Path) -> str:
    """Return the name of the format that a file's name ends in; raises Misconfigured."""
    known = {suffix: name for name, form in FORMATS.items() for suffix in form.suffixes}
    try:
        return known[path.suffix.lower()]
    except KeyError:
        raise Misconfigured(
            f"{path.name} does not say its format; end its name in {', '.join(known)}, "
            "or give --format"
        ) from None
