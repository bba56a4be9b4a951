"""GeoJSON (RFC 7946): a feature collection with a feature a line; longitude comes first."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TextIO

import orjson

from locapi.export import Minutes, Page
from locapi.mongo import Document
from locapi.writers.tracks import Track, lines, tracks

_POINT = '{"type":"Feature","geometry":{"type":"Point","coordinates":['

_position = itemgetter("long", "lat")


def write_points(minutes: Minutes, out: TextIO) -> None:
    """Write a point each minute."""
    names = minutes.columns[4:]
    _write_collection((feature for page in minutes.pages for feature in _points(page, names)), out)


def write_tracks(minutes: Minutes, out: TextIO) -> None:
    """Write a line each user and UTC day, in two or more parts where it crosses ±180°."""
    features = (orjson.dumps(_line(track)).decode() for track in tracks(minutes.pages))
    _write_collection(features, out)


def _write_collection(features: Iterator[str], out: TextIO) -> None:
    out.write('{"type":"FeatureCollection","features":[\n')
    out.write(next(features, ""))
    out.writelines(f",\n{feature}" for feature in features)
    out.write("\n]}\n")


def _points(page: Page, names: Sequence[str]) -> Iterator[str]:
    # Positions and properties are made text apart, and a page at a time: a dict of dicts each
    # point would take three times as long.
    positions = orjson.dumps([_position(minute) for minute in page]).decode()[2:-2].split("],[")
    array = orjson.dumps([_properties(minute, names) for minute in page]).decode()
    # A quote within a value is escaped, so only between two objects can this be.
    properties = array[1:-1].replace('},{"user_id":', '}\n{"user_id":').split("\n")
    for position, of_point in zip(positions, properties, strict=True):
        yield f'{_POINT}{position}]}},"properties":{of_point}}}'


def _properties(minute: Document, names: Sequence[str]) -> Document:
    user_id, time = minute["_id"].split("\t")
    return {
        "user_id": user_id,
        "minute": f"{time}:00Z",
        **{name: minute[name] for name in names},
    }


def _line(track: Track) -> Document:
    parts = lines(track.minutes)
    return {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": parts[0]}
        if len(parts) == 1
        else {"type": "MultiLineString", "coordinates": parts},
        "properties": {
            "user_id": track.user_id,
            "day": track.day,
            "start": track.start,
            "last": track.last,
            "minutes": len(track.minutes),
            "count": track.fixes,
        },
    }
