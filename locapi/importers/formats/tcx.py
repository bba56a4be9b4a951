"""TCX: the track points of Garmin's Training Center."""

from collections.abc import Generator
from io import BufferedReader

from locapi.importers.fields import FieldMapping
from locapi.importers.row import Row, Skipped
from locapi.importers.xml_reader import XmlReader

_MAX_VALUES = 100
_FIELDS = {
    "Time": "timestamp",
    "LatitudeDegrees": "lat",
    "LongitudeDegrees": "long",
    "Speed": "speed",
}


def read(stream: BufferedReader, mapping: FieldMapping) -> Generator[Row | Skipped, None, None]:
    """Yield a row for each `Trackpoint` with a position; indoors there is none."""
    yield from _Trackpoints(mapping).read(stream)


class _Trackpoints(XmlReader):
    def __init__(self, mapping: FieldMapping) -> None:
        super().__init__(mapping)
        self._place = ""
        self._values: dict[str, str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002  expat's
        if name == "Trackpoint":
            self._place, self._values = self.place, {}

    def end(self, name: str, text: str) -> None:
        if self._values is None:
            return
        if name != "Trackpoint":
            if text and len(self._values) < _MAX_VALUES:
                self._values.setdefault(name, text)
        elif "LatitudeDegrees" in self._values:
            self.found.append(self.mapping.row(self._place, self._values, _FIELDS))
            self._values = None
        else:
            self.found.append(Skipped("track point without a position"))
            self._values = None
