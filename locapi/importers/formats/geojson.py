"""GeoJSON: points with a time in their properties, and lines with a time for each position.

A line has its times in the property `coordTimes` or `coordinateProperties.times`, where
converters from GPX put them.
"""

from collections.abc import Generator, Iterator
from io import BufferedReader
from typing import Any

from locapi.errors import InvalidFix
from locapi.importers.fields import FieldMapping
from locapi.importers.json_stream import elements
from locapi.importers.row import BadRow, BrokenFile, Row, Skipped, as_list, as_object
from locapi.text import quantity

_LINES = ("LineString", "MultiLineString")


def read(stream: BufferedReader, mapping: FieldMapping) -> Generator[Row | Skipped, None, None]:
    """Yield a row for each position of the features."""
    for key, place, value in elements(stream):
        kind = value.get("type") if isinstance(value, dict) else None
        if key in ("features", "") or kind == "Feature":
            yield from feature_rows(place, value, mapping)
        elif key is None and kind != "FeatureCollection" and not _has_features(value):
            raise BrokenFile(f"{place}: neither a GeoJSON feature nor a collection of features")


def _has_features(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("features"), list)


def feature_rows(place: str, feature: Any, mapping: FieldMapping) -> Iterator[Row | Skipped]:
    """Yield a row for each position of a feature, or one with the reason why it has none."""
    try:
        properties = as_object(as_object(feature, "the feature").get("properties") or {})
        if feature.get("geometry") is None:
            raise BadRow("the feature has no geometry")
        geometry = as_object(feature["geometry"], "the geometry")
        kind = geometry.get("type")
        # Only what is needed: a line repeats its properties at each position.
        shared = {name: properties[name] for name in mapping.used_names & properties.keys()}
        if kind == "Point":
            yield _row(place, geometry.get("coordinates"), shared, mapping)
        elif kind in _LINES:
            yield from _line_rows(place, geometry, properties, shared, mapping)
        else:
            yield Skipped(f"feature of type {str(kind)[:40]}")
    except BadRow as fault:
        yield Row(place, feature, InvalidFix(str(fault)))


def _line_rows(
    place: str,
    geometry: dict[str, Any],
    properties: dict[str, Any],
    shared: dict[str, Any],
    mapping: FieldMapping,
) -> Iterator[Row]:
    lines, times = geometry.get("coordinates"), _times(properties)
    if geometry["type"] == "LineString":
        lines, times = [lines], [times]
    lines, times = as_list(lines, "the coordinates"), as_list(times, "the times")
    number = 0
    name = mapping.name("timestamp")
    for line, its_times in _pairs("line", lines, "list of times", times):
        try:
            pairs = _pairs("position", as_list(line, "a line"), "time", as_list(its_times, "it"))
        except BadRow as fault:
            yield Row(f"{place}, position {number}", line, InvalidFix(str(fault)))
            continue
        for position, time in pairs:
            yield _row(f"{place}, position {number}", position, {**shared, name: time}, mapping)
            number += 1


def _pairs(noun: str, values: list[Any], other: str, others: list[Any]) -> Iterator[Any]:
    if len(values) != len(others):
        found = f"{quantity(len(values), noun)}, but {quantity(len(others), other)}"
        raise BadRow(f"{found}: there must be as many")
    return zip(values, others, strict=True)


def _times(properties: dict[str, Any]) -> Any:
    if times := properties.get("coordTimes"):
        return times
    nested = properties.get("coordinateProperties")
    times = nested.get("times") if isinstance(nested, dict) else None
    if times is None:
        raise BadRow("the line has no time for each position")
    return times


def _row(place: str, position: Any, values: dict[str, Any], mapping: FieldMapping) -> Row:
    if isinstance(position, list) and len(position) > 1:
        long, lat = position[:2]
        values = {**values, mapping.name("lat"): lat, mapping.name("long"): long}
    return mapping.row(place, values)
