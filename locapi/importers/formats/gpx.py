"""GPX 1.0 and 1.1: the points of tracks. Waypoints and routes are skipped."""

from collections.abc import Generator
from io import BufferedReader

from locapi.importers.fields import FieldMapping
from locapi.importers.row import Row, Skipped
from locapi.importers.xml_reader import XmlReader

_MAX_VALUES = 100
_SKIPPED = {"wpt": "waypoint", "rtept": "route point"}
_FIELDS = {"lon": "long", "time": "timestamp"}


def read(stream: BufferedReader, mapping: FieldMapping) -> Generator[Row | Skipped, None, None]:
    """Yield a row for each `trkpt`."""
    yield from _Points(mapping).read(stream)


class _Points(XmlReader):
    def __init__(self, mapping: FieldMapping) -> None:
        super().__init__(mapping)
        self._track_name = ""
        self._point_depth = 0
        self._own: dict[str, str] | None = None
        self._nested: dict[str, str] = {}
        self._place = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "trk":
            self._track_name = ""
        elif name == "trkpt":
            self._place, self._point_depth = self.place, len(self.path)
            self._own = {each: attributes[each] for each in ("lat", "lon") if each in attributes}
            self._nested = {}
        elif name in _SKIPPED:
            self.found.append(Skipped(_SKIPPED[name]))

    def end(self, name: str, text: str) -> None:
        if self._own is None:
            if self.path[-2:] == ["trk", "name"]:
                self._track_name = text
        elif name == "trkpt":
            # The point's own elements win over those of its extensions. Only the track's name is
            # one: points are numbered at most.
            values = {**self._nested, **self._own, "name": self._track_name}
            self.found.append(self.mapping.row(self._place, values, _FIELDS))
            self._own = None
        elif len(self.path) > self._point_depth + 1:
            self._add(self._nested, name, text)
        else:
            self._add(self._own, name, text)

    def _add(self, values: dict[str, str], name: str, text: str) -> None:
        if text and len(values) < _MAX_VALUES:
            values.setdefault(name, text)
