"""GeoLife: the `.plt` files of Microsoft's data set, six header lines and then a point a line."""

from collections.abc import Generator
from io import BufferedReader

from locapi.errors import InvalidFix
from locapi.importers.fields import FieldMapping
from locapi.importers.json_lines import read_lines
from locapi.importers.row import Row

_HEADER_LINES = 6
_COLUMNS = 7


def read(stream: BufferedReader, mapping: FieldMapping) -> Generator[Row, None, None]:
    """Yield a row for each point."""
    for number, (place, line) in enumerate(read_lines(stream)):
        if number < _HEADER_LINES:
            continue
        cells = line.split(",")
        if len(cells) == _COLUMNS:
            lat, long, _, altitude, _, date, time = cells
            values = {"lat": lat, "long": long, "altitude": altitude, "timestamp": f"{date} {time}"}
            yield mapping.row(place, values)
        else:
            yield Row(place, line, InvalidFix(f"it has {len(cells)} cells instead of {_COLUMNS}"))
