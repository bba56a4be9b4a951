"""GPX 1.1: a track for each user and UTC day, with a new segment after each gap."""

from operator import itemgetter
from typing import TextIO

from locapi.exporters.query import NUMBERS, Minutes
from locapi.exporters.tracks import Track, tracks
from locapi.exporters.xml_writer import XmlWriter, decimals
from locapi.fixes import ids

_NAMESPACES = {
    "xmlns": "http://www.topografix.com/GPX/1/1",
    "xmlns:locapi": "urn:locapi:minute",  # GPX 1.1 has no speed, accuracy or count
}
_EAST, _WEST = "180.0", "-180.0"  # the same meridian; GPX's schema excludes 180

_values = itemgetter(*NUMBERS)


def write(minutes: Minutes, out: TextIO) -> None:
    """Write a document with a point for each minute."""
    xml = XmlWriter(out)
    with xml.element("gpx", version="1.1", creator="locapi", **_NAMESPACES):
        for track in tracks(minutes):
            _write_track(track, xml)


def _write_track(track: Track, xml: XmlWriter) -> None:
    with xml.element("trk"):
        xml.text("name", f"{track.user_id} {track.day}")
        for segment in track.segments():
            with xml.element("trkseg"):
                rows = decimals([_values(minute) for minute in segment]).split("],[")
                points = zip(segment, rows, strict=True)
                xml.raw("".join([_point(minute["_id"], row) for minute, row in points]))


def _point(minute_id: str, row: str) -> str:
    # Numbers and times need no escaping, and an f-string takes an eighth of XmlWriter's time.
    lat, long, accuracy, speed, count = row.split(",")
    return (
        f'<trkpt lat="{lat}" lon="{_WEST if long == _EAST else long}">'
        f"<time>{ids.start_of(minute_id)}</time><extensions>"
        f"{_element('accuracy', accuracy)}{_element('speed', speed)}"
        f"<locapi:count>{count}</locapi:count></extensions></trkpt>\n"
    )


def _element(name: str, number: str) -> str:
    return "" if number == "null" else f"<locapi:{name}>{number}</locapi:{name}>"
