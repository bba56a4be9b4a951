"""KML 2.2: a folder for each user, with the lines of each UTC day in it."""

from itertools import groupby
from typing import TextIO

from locapi.exporters.query import Minutes
from locapi.exporters.tracks import Position, Track, tracks
from locapi.exporters.xml_writer import XmlWriter, decimals


def write(minutes: Minutes, out: TextIO) -> None:
    """Write a document with the lines of each track."""
    xml = XmlWriter(out)
    with xml.element("kml", xmlns="http://www.opengis.net/kml/2.2"), xml.element("Document"):
        for user_id, of_user in groupby(tracks(minutes), lambda track: track.user_id):
            with xml.element("Folder"):
                xml.text("name", user_id)
                for track in of_user:
                    _write_track(track, xml)


def _write_track(track: Track, xml: XmlWriter) -> None:
    with xml.element("Placemark"):
        xml.text("name", track.day)
        with xml.element("TimeSpan"):
            xml.text("begin", track.start)
            xml.text("end", track.last)
        lines = track.lines()
        if len(lines) == 1:
            _write_line(lines[0], xml)
        else:
            with xml.element("MultiGeometry"):
                for line in lines:
                    _write_line(line, xml)


def _write_line(line: list[Position], xml: XmlWriter) -> None:
    with xml.element("LineString"):
        xml.text("tessellate", "1")  # follow the ground instead of passing through it
        xml.text("coordinates", decimals(line).replace("],[", " "))
