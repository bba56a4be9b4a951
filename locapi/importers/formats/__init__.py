"""The file formats that can be imported: one module each, loaded when it is needed.

A module has one function, `read(stream, mapping)`. It yields a Row for each fix and what it passes
over as Skipped, and raises BrokenFile where it cannot go on.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from importlib import import_module
from io import BufferedReader

from locapi.importers.fields import FieldMapping
from locapi.importers.row import Row, Skipped

Read = Callable[[BufferedReader, FieldMapping], Generator[Row | Skipped, None, None]]


@dataclass(frozen=True)
class Format:
    """What messages call a format, and what all files in it have in common.

    `suffixes` are those of file names; `names` the format's own names of fields.
    Times without a zone are in `timezone`, or local times at their position.
    """

    title: str
    suffixes: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    timezone: tzinfo | None = None
    speed_unit: str = "m/s"

    def mapping(self, given: FieldMapping) -> FieldMapping:
        """Return the mapping for a file in this format; what is given has precedence."""
        return replace(
            given,
            names={**self.names, **given.names},
            timezone=given.timezone or self.timezone,
            speed_unit=given.speed_unit or self.speed_unit,
        )


FORMATS = {
    "csv": Format("CSV", (".csv", ".tsv")),
    "ndjson": Format("NDJSON", (".ndjson", ".jsonl")),
    "json": Format("a JSON array of objects"),
    "gpx": Format("GPX", (".gpx",), timezone=UTC),
    "kml": Format("KML", (".kml",), timezone=UTC),
    "tcx": Format("TCX", (".tcx",), timezone=UTC),
    "geojson": Format("GeoJSON", (".geojson", ".geojsonl", ".geojsons")),
    "google": Format("Google location history"),
    "owntracks": Format(
        "OwnTracks",
        (".rec",),
        names={"timestamp": "tst", "long": "lon", "accuracy": "acc", "speed": "vel"},
        speed_unit="km/h",
    ),
    "overland": Format("Overland", names={"accuracy": "horizontal_accuracy"}),
    "geolife": Format("GeoLife", (".plt",), timezone=UTC),
}


def load(name: str) -> Read:
    """Return the function that reads files in the format of that name."""
    read: Read = import_module(f"{__name__}.{name}").read
    return read
