"""Divide minutes into tracks, segments and lines, alike for every format and for the map.

A track is a user's minutes of one UTC day. Gaps divide a track into segments. A line is a
segment, or a part of it where it crosses the antimeridian.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, groupby, pairwise
from operator import itemgetter

from locapi.exporters.query import Minutes
from locapi.fixes import ids
from locapi.storage.documents import Document
from locapi.times import MINUTE

# Positions more than this many minutes (or longer buckets) apart have a gap between them. Ten
# still join a fix every five minutes if one is lost. In recorded tracks of cars with a position
# about every ten minutes, ten join 81 % of the steps and five none; in tracks of ships with one
# every few minutes, 99 % and 93 %.
MAX_STEP = 10

Position = tuple[float, float]  # longitude, latitude

_position = itemgetter("long", "lat")


@dataclass(frozen=True)
class Track:
    """A user's minutes of one UTC day, or longer buckets of `span`, sorted by time."""

    user_id: str
    day: str
    minutes: list[Document]
    span: timedelta

    @property
    def start(self) -> str:
        """Return when the first minute starts."""
        return ids.start_of(self.minutes[0]["_id"])

    @property
    def last(self) -> str:
        """Return when the last minute starts."""
        return ids.start_of(self.minutes[-1]["_id"])

    def segments(self) -> list[list[Document]]:
        """Return the parts of the track between its gaps."""
        max_step = MAX_STEP * (self.span // MINUTE)
        clocks = [ids.minute_of_day(minute["_id"]) for minute in self.minutes]
        gaps = [at for at, (a, b) in enumerate(pairwise(clocks), 1) if b - a > max_step]
        return [self.minutes[a:b] for a, b in pairwise([0, *gaps, len(clocks)])]

    def lines(self) -> list[list[Position]]:
        """Return the segments as lines of at least two positions, cut at the antimeridian.

        RFC 7946, 3.1.9, asks for the cut. A lone position is a line that stays there.
        """
        lines = [line for segment in self.segments() for line in _cut(map(_position, segment))]
        return [line if len(line) > 1 else line * 2 for line in lines]


def tracks(minutes: Minutes) -> Iterator[Track]:
    """Yield the tracks of minutes sorted by user and time; one track is held in memory."""
    rows = chain.from_iterable(minutes.pages)
    for day_id, of_day in groupby(rows, lambda minute: ids.day_id(minute["_id"])):
        yield Track(*ids.parse_day_id(day_id), list(of_day), minutes.span)


def _cut(positions: Iterator[Position]) -> list[list[Position]]:
    """Return a line in parts none of which crosses the antimeridian."""
    last = next(positions)
    parts = [[last]]
    for position in positions:
        if abs(position[0] - last[0]) > 180:
            leaving, entering = _crossing(last, position)
            parts[-1].append(leaving)
            parts.append([entering])
        parts[-1].append(position)
        last = position
    return parts


def _crossing(before: Position, after: Position) -> tuple[Position, Position]:
    """Return where the shorter way between two positions crosses ±180°, on either side."""
    edge = 180.0 if before[0] > 0 else -180.0
    width = after[0] + 2 * edge - before[0]
    share = (edge - before[0]) / width if width else 0.0
    lat = before[1] + share * (after[1] - before[1])
    return (edge, lat), (-edge, lat)
