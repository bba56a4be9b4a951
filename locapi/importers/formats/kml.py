"""KML: the points of each `gx:Track`, and placemarks that have a time and a point."""

import sys
from collections import deque
from collections.abc import Generator
from io import BufferedReader

from locapi.errors import InvalidFix
from locapi.importers.fields import FieldMapping
from locapi.importers.row import BrokenFile, Row, Skipped
from locapi.importers.xml_reader import XmlReader
from locapi.text import format_size

_MAX_TIMES = 40_000_000  # bytes, of a track, before their positions: 500,000 times
_FIELDS = {"when": "timestamp"}


def read(stream: BufferedReader, mapping: FieldMapping) -> Generator[Row | Skipped, None, None]:
    """Yield a row for each position with a time."""
    yield from _Positions(mapping).read(stream)


class _Positions(XmlReader):
    def __init__(self, mapping: FieldMapping) -> None:
        super().__init__(mapping)
        self._placemark: dict[str, str] = {}
        self._times: deque[str] = deque()
        self._times_size = 0
        self._has_track = False

    def start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002  expat's
        if name == "Placemark":
            self._placemark = {"place": self.place}
            self._has_track = False
        elif name == "Track":
            self._times.clear()
            self._times_size = 0
            self._has_track = True

    def end(self, name: str, text: str) -> None:
        parent = self.path[-2] if len(self.path) > 1 else ""
        if parent == "Track":
            self._end_in_track(name, text)
        elif name == "Track" and self._times:
            fault = InvalidFix(f"the track has {len(self._times):,} more times than positions")
            self.found.append(Row(self.place, {}, fault))
        elif (parent, name) in _PLACEMARK:
            self._placemark[_PLACEMARK[parent, name]] = text
        elif name == "Placemark" and not self._has_track:
            self._end_placemark()

    def _end_in_track(self, name: str, text: str) -> None:
        if name == "when":
            self._times.append(text)
            self._times_size += sys.getsizeof(text)
            if self._times_size > _MAX_TIMES:
                raise BrokenFile(
                    f"{self.place}: the times of a track before their positions take more than "
                    f"{format_size(_MAX_TIMES)}"
                )
        elif name == "coord":
            self._add(self.place, text.split(), self._next_time())

    def _next_time(self) -> str | None:
        if not self._times:
            return None
        time = self._times.popleft()
        self._times_size -= sys.getsizeof(time)
        return time

    def _end_placemark(self) -> None:
        if "position" in self._placemark and "time" in self._placemark:
            position = self._placemark["position"].split(",")
            self._add(self._placemark["place"], position, self._placemark["time"])
        else:
            self.found.append(Skipped("placemark without a time or a point"))

    def _add(self, place: str, position: list[str], time: str | None) -> None:
        values = {"when": time, "name": self._placemark.get("name")}
        if len(position) > 1:
            values["long"], values["lat"] = position[:2]
        self.found.append(self.mapping.row(place, values, _FIELDS))


_PLACEMARK = {
    ("Placemark", "name"): "name",
    ("TimeStamp", "when"): "time",
    ("Point", "coordinates"): "position",
}
