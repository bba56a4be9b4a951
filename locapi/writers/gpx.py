"""GPX 1.1: a track each user and UTC day, a new segment after each gap."""

from operator import itemgetter
from typing import TextIO

from locapi.export import NUMBERS, Minutes
from locapi.writers.markup import Markup, numbers
from locapi.writers.tracks import Track, runs, tracks

_NAMESPACES = {
    "xmlns": "http://www.topografix.com/GPX/1/1",
    "xmlns:locapi": "urn:locapi:minute",  # GPX 1.1 has no speed, accuracy or count of its own
}
_EAST, _WEST = "180.0", "-180.0"  # one meridian, of which the schema knows the second only

_values = itemgetter(*NUMBERS)


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
                rows = numbers([_values(minute) for minute in run]).split("],[")
                points = zip(run, rows, strict=True)
                xml.ready("".join([_point(minute["_id"], row) for minute, row in points]))


def _point(minute_id: str, row: str) -> str:
    # By hand, at an eighth of the generator's time: there are only numbers and a time in it.
    lat, long, accuracy, speed, count = row.split(",")
    return (
        f'<trkpt lat="{lat}" lon="{_WEST if long == _EAST else long}">'
        f"<time>{minute_id[-16:]}:00Z</time><extensions>"
        f"<locapi:accuracy>{accuracy}</locapi:accuracy><locapi:speed>{speed}</locapi:speed>"
        f"<locapi:count>{count}</locapi:count></extensions></trkpt>\n"
    )
