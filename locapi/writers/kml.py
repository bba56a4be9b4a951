"""KML 2.2: a folder each user, in it a line each UTC day, cut where it crosses ±180°."""

from itertools import groupby
from typing import TextIO

from locapi.export import Minutes
from locapi.writers.markup import Markup, numbers
from locapi.writers.tracks import Position, Track, lines, tracks


def write(minutes: Minutes, out: TextIO) -> None:
    """Write a document with a line each user and UTC day."""
    xml = Markup(out)
    with xml.element("kml", xmlns="http://www.opengis.net/kml/2.2"), xml.element("Document"):
        for user_id, of_user in groupby(tracks(minutes.pages), lambda track: track.user_id):
            with xml.element("Folder"):
                xml.text("name", user_id)
                for track in of_user:
                    _write_track(track, xml)


def _write_track(track: Track, xml: Markup) -> None:
    with xml.element("Placemark"):
        xml.text("name", track.day)
        with xml.element("TimeSpan"):
            xml.text("begin", track.start)
            xml.text("end", track.last)
        parts = lines(track.minutes)
        if len(parts) == 1:
            _write_line(parts[0], xml)
        else:
            with xml.element("MultiGeometry"):
                for part in parts:
                    _write_line(part, xml)


def _write_line(line: list[Position], xml: Markup) -> None:
    with xml.element("LineString"):
        xml.text("tessellate", "1")  # else it would run through the ground between two positions
        xml.text("coordinates", numbers(line).replace("],[", " "))
