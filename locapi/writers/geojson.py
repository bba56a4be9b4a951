"""GeoJSON (RFC 7946): a feature collection with a feature a line; longitude comes first."""

from collections.abc import Iterable
from typing import TextIO

import orjson

from locapi.export import Minutes
from locapi.mongo import Document
from locapi.writers.tracks import Track, lines, tracks

_FEATURE = '{"type":"Feature",'


def write_points(minutes: Minutes, out: TextIO) -> None:
    """Write a point each minute."""
    properties = minutes.columns[4:]
    pages = ([_point(minute, properties) for minute in page] for page in minutes.pages)
    _write_collection(pages, out)


def write_tracks(minutes: Minutes, out: TextIO) -> None:
    """Write a line each user and UTC day, in two or more parts where it crosses ±180°."""
    _write_collection(([_line(track)] for track in tracks(minutes.pages)), out)


def _write_collection(pages: Iterable[list[Document]], out: TextIO) -> None:
    out.write('{"type":"FeatureCollection","features":[')
    separator = "\n"
    for features in pages:
        array = orjson.dumps(features)[1:-1].decode()
        # A quote within a value is escaped, so only between two features can this be.
        out.write(separator + array.replace("}," + _FEATURE, "},\n" + _FEATURE))
        separator = ",\n"
    out.write("\n]}\n")


def _point(minute: Document, names: Iterable[str]) -> Document:
    user_id, time = minute["_id"].split("\t")
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": (minute["long"], minute["lat"])},
        "properties": {
            "user_id": user_id,
            "minute": f"{time}:00Z",
            **{name: minute[name] for name in names},
        },
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
