"""Overland: batches of GeoJSON features, as the app sends them to a server."""

from collections.abc import Generator
from io import BufferedReader
from typing import Any

from locapi.importers.fields import FieldMapping
from locapi.importers.formats.geojson import feature_rows
from locapi.importers.json_stream import elements
from locapi.importers.row import Row, Skipped


def read(stream: BufferedReader, mapping: FieldMapping) -> Generator[Row | Skipped, None, None]:
    """Yield a row for each feature of the batches."""
    for key, place, value in elements(stream):
        if key == "locations":
            kind = _other_kind(value)
            yield from [Skipped(kind)] if kind else feature_rows(place, value, mapping)


def _other_kind(feature: Any) -> str:
    """Return what a feature is that has the position of an earlier fix, or "" for a location."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        return ""
    if "action" in properties:
        return "action"
    return "trip" if properties.get("type") == "trip" else ""
