"""The formats that minutes can be exported in: one module each, loaded when it is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from locapi.errors import Misconfigured, require_extra
from locapi.exporters.query import Minutes

Write = Callable[[Minutes, Any], None]


@dataclass(frozen=True)
class Format:
    """A format's writer, the file names that it is known by, and what it can hold."""

    writer: str  # module:function
    mimetype: str
    suffixes: tuple[str, ...] = ()
    binary: bool = False
    has_columns: bool = True  # for each minute, so columns can be added
    has_erased: bool = False  # it can say which users were erased

    def load(self) -> Write:
        """Return the function that writes minutes to a text file, or to a binary one if `binary`.

        Raises Misconfigured if a library that it needs is not installed.
        """
        module, function = self.writer.split(":")
        with require_extra("export"):
            write: Write = getattr(import_module(f"{__name__}.{module}"), function)
        return write


FORMATS = {
    "csv": Format("csv:write", "text/csv", (".csv",), has_erased=True),
    "ndjson": Format(
        "ndjson:write", "application/x-ndjson", (".ndjson", ".jsonl"), has_erased=True
    ),
    "parquet": Format(
        "parquet:write",
        "application/vnd.apache.parquet",
        (".parquet",),
        binary=True,
        has_erased=True,
    ),
    "geojson": Format("geojson:write_points", "application/geo+json", (".geojson",)),
    "geojson-tracks": Format("geojson:write_tracks", "application/geo+json", has_columns=False),
    "gpx": Format("gpx:write", "application/gpx+xml", (".gpx",), has_columns=False),
    "kml": Format(
        "kml:write", "application/vnd.google-earth.kml+xml", (".kml",), has_columns=False
    ),
}


def format_of(path: Path) -> str:
    """Return the name of the format that a file's suffix means; raises Misconfigured."""
    by_suffix = {suffix: name for name, each in FORMATS.items() for suffix in each.suffixes}
    try:
        return by_suffix[path.suffix.lower()]
    except KeyError:
        raise Misconfigured(
            f"cannot detect the format of {path.name}. Use one of the extensions "
            f"{', '.join(by_suffix)}, or --format."
        ) from None
