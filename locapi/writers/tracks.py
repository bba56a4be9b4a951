"""A track is a user's minutes of one UTC day, in order: what is drawn as a line."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain, groupby
from typing import NamedTuple

from locapi.export import Page
from locapi.mongo import Document
from locapi.times import MINUTE

GAP = 10  # of this many spans and more without a minute, one does not go on from the other

Position = tuple[float, float]  # longitude, latitude


class Track(NamedTuple):
    """A user's minutes of one UTC day."""

    user_id: str
    day: str
    minutes: list[Document]

    @property
    def fixes(self) -> int:
        """Return how many fixes are in it."""
        return sum(minute["count"] for minute in self.minutes)

    @property
    def start(self) -> str:
        """Return when its first minute starts."""
        return f"{self.day}T{self.minutes[0]['_id'][-5:]}:00Z"

    @property
    def last(self) -> str:
        """Return when its last minute starts."""
        return f"{self.day}T{self.minutes[-1]['_id'][-5:]}:00Z"


def tracks(pages: Iterable[Page]) -> Iterator[Track]:
    """Yield the tracks, one after the other: no more than a day is kept in memory."""
    for key, minutes in groupby(chain.from_iterable(pages), lambda minute: minute["_id"][:-6]):
        user_id, day = key.split("\t")
        yield Track(user_id, day, list(minutes))


def runs(minutes: list[Document], span: timedelta) -> Iterator[list[Document]]:
    """Yield the parts of a track between its gaps."""
    most = GAP * (span // MINUTE)
    clocks = [_minute_of_day(minute) for minute in minutes]
    begin = 0
    for place in range(1, len(minutes)):
        if clocks[place] - clocks[place - 1] > most:
            yield minutes[begin:place]
            begin = place
    yield minutes[begin:]


def _minute_of_day(minute: Document) -> int:
    clock = minute["_id"][-5:]
    return int(clock[:2]) * 60 + int(clock[3:])


def lines(minutes: list[Document]) -> list[list[Position]]:
    """Return a track as lines of two positions at least, cut at the antimeridian (RFC 7946, 3.1.9).

    A track of one position stays there.
    """
    parts: list[list[Position]] = [[]]
    for minute in minutes:
        position = (minute["long"], minute["lat"])
        if parts[-1] and abs(position[0] - parts[-1][-1][0]) > 180:
            leaving, entering = _crossing(parts[-1][-1], position)
            parts[-1].append(leaving)
            parts.append([entering])
        parts[-1].append(position)
    return [part if len(part) > 1 else part * 2 for part in parts]


def _crossing(before: Position, after: Position) -> tuple[Position, Position]:
    """Return where the short way between two positions meets the antimeridian, on either side."""
    edge = 180.0 if before[0] > 0 else -180.0
    way = after[0] + 2 * edge - before[0]
    share = (edge - before[0]) / way if way else 0.0
    lat = before[1] + share * (after[1] - before[1])
    return (edge, lat), (-edge, lat)
