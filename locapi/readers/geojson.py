"""GeoJSON: features that are points, each with its time, or lines with a time for each position.

A line has its times in the property `coordTimes` or in `coordinateProperties.times`, as those
have it that make GeoJSON of GPX.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from locapi.errors import InvalidFix
from locapi.readers.columns import Columns
from locapi.readers.elements import elements
from locapi.readers.rows import Broken, Row

_TIMES = ("coordTimes", "coordinateProperties")


def rows(stream: BinaryIO, columns: Columns) -> Iterator[Row]:
    """Yield a row for each position; of a feature that has none with a time, one that says so."""
    kind = None
    for key, place, value in elements(stream):
        kind = value.get("type") if isinstance(value, dict) else None
        if key == "features" or kind == "Feature":
            yield from _feature_rows(place, value, columns)
    if kind not in ("Feature", "FeatureCollection"):  # the last is the document itself
        raise Broken("it is no GeoJSON feature, nor a collection of them")


def _feature_rows(place: str, feature: Any, columns: Columns) -> Iterator[Row]:
    try:
        points = list(_points(feature, columns))
    except (AttributeError, LookupError, TypeError, ValueError):
        fault = InvalidFix("the feature is no point, and no line with a time for each position")
        yield Row(place, feature, fault)
        return
    for number, values in enumerate(points):
        exactly = place if len(points) == 1 else f"{place}, position {number}"
        yield Row(exactly, values, columns.pick(values))


def _points(feature: dict[str, Any], columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield the feature's properties once for each position."""
    properties = feature.get("properties") or {}
    shared = {name: value for name, value in properties.items() if name not in _TIMES}
    for position, time in _timed(feature["geometry"], properties):
        times = {} if time is None else {columns.name("timestamp"): time}
        yield {
            **shared,
            **times,
            columns.name("lat"): position[1],
            columns.name("long"): position[0],
        }


def _timed(geometry: dict[str, Any], properties: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "Point":
        yield coordinates, None  # its time is a property
        return
    times = properties.get("coordTimes") or properties["coordinateProperties"]["times"]
    if kind == "LineString":
        coordinates, times = [coordinates], [times]
    elif kind != "MultiLineString":
        raise ValueError
    for line, its_times in zip(coordinates, times, strict=True):
        yield from zip(line, its_times, strict=True)
