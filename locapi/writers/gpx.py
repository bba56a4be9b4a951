"""GPX 1.1: a track each user and UTC day, a new segment after each gap."""

from typing import TextIO

from locapi.export import Minutes
from locapi.mongo import Document
from locapi.writers.markup import Markup, decimal
from locapi.writers.tracks import Track, runs, tracks

_NAMESPACES = {
    "xmlns": "http://www.topografix.com/GPX/1/1",
    "xmlns:locapi": "urn:locapi:minute",  # GPX 1.1 has no speed, accuracy or count of its own
}


def write(minutes: Minutes, out: TextIO) -> None:
    """Write a document with a point each minute."""
    xml = Markup(out)
    with xml.element("gpx", version="1.1", creator="locapi", **_NAMESPACES):
        for track in tracks(minutes.pages):
            _write_track(track, minutes, xml)


def _write_track(track: Track, minutes: Minutes, xml: Markup) -> None:
    with xml.element("trk"):
        xml.text("name", f"{track.user_id} {track.day}")
        for run in runs(track.minutes, minutes.span):
            with xml.element("trkseg"):
                xml.ready("".join([_point(minute) for minute in run]))


def _point(minute: Document) -> str:
    # By hand, at a fifth of the generator's time: there are only numbers and a time in it.
    long = minute["long"] if minute["long"] < 180 else -180.0  # the schema excludes 180
    return (
        f'<trkpt lat="{decimal(minute["lat"])}" lon="{decimal(long)}">'
        f"<time>{minute['_id'][-16:]}:00Z</time><extensions>"
        f"<locapi:accuracy>{minute['accuracy']!r}</locapi:accuracy>"
        f"<locapi:speed>{minute['speed']!r}</locapi:speed>"
        f"<locapi:count>{minute['count']}</locapi:count></extensions></trkpt>\n"
    )
