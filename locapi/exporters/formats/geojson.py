"""GeoJSON (RFC 7946): a feature collection with one feature a line."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TextIO

import orjson

from locapi.exporters.formats.ndjson import json_lines
from locapi.exporters.query import Minutes, Page
from locapi.exporters.tracks import Track, tracks
from locapi.fixes import ids
from locapi.storage.documents import Document

_POINT = '{"type":"Feature","geometry":{"type":"Point","coordinates":['

_position = itemgetter("long", "lat")  # in the order that GeoJSON asks for


def write_points(minutes: Minutes, out: TextIO) -> None:
    """Write a point for each minute."""
    columns = minutes.columns[4:]
    features = (feature for page in minutes.pages for feature in _points(page, columns))
    _write_collection(features, out)


def write_tracks(minutes: Minutes, out: TextIO) -> None:
    """Write a line for each track, in several parts where it has gaps or crosses ±180°."""
    _write_collection((orjson.dumps(_line(each)).decode() for each in tracks(minutes)), out)


def _write_collection(features: Iterator[str], out: TextIO) -> None:
    out.write('{"type":"FeatureCollection","features":[\n')
    out.write(next(features, ""))
    out.writelines(f",\n{feature}" for feature in features)
    out.write("\n]}\n")


def _points(page: Page, columns: Sequence[str]) -> Iterator[str]:
    # Positions and properties are formatted separately, a page at a time: building a nested dict
    # for each point takes three times as long.
    positions = orjson.dumps([_position(minute) for minute in page]).decode()[2:-2].split("],[")
    properties = json_lines([_properties(minute, columns) for minute in page]).split("\n")
    for position, each in zip(positions, properties, strict=True):
        yield f'{_POINT}{position}]}},"properties":{each}}}'


def _properties(minute: Document, columns: Sequence[str]) -> Document:
    user_id, time = ids.split_minute_id(minute["_id"])
    return {"user_id": user_id, "minute": time, **{name: minute[name] for name in columns}}


def _line(track: Track) -> Document:
    lines = track.lines()
    geometry = (
        {"type": "LineString", "coordinates": lines[0]}
        if len(lines) == 1
        else {"type": "MultiLineString", "coordinates": lines}
    )
    properties = {
        "user_id": track.user_id,
        "day": track.day,
        "start": track.start,
        "last": track.last,
        "minutes": len(track.minutes),
        "count": sum(minute["count"] for minute in track.minutes),
    }
    return {"type": "Feature", "geometry": geometry, "properties": properties}
