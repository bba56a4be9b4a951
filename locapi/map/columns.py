"""Collect what the page shows: tracks, and their minutes in columns of int32 that pack small."""

import base64
import sys
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil

from locapi.errors import Misconfigured
from locapi.exporters.query import Minutes, Page
from locapi.exporters.tracks import MAX_STEP, tracks
from locapi.fixes import ids
from locapi.storage.documents import Document

MAX_MINUTES = 200_000
# How many units of a column make one degree, metre, metre a second or fix.
SCALES = {"lat": 1_000_000, "long": 1_000_000, "accuracy": 100, "speed": 1_000, "count": 1}
COLUMNS = ("minute", *SCALES, "turn", "segment")
UNKNOWN = -1  # in the columns accuracy and speed
MAX_INT32 = 2**31 - 1  # also stands for every larger value of a column
_CIRCLE = 360 * SCALES["long"]


@dataclass(frozen=True)
class TrackRows:
    """The rows of one track: `count` from `first` on; `user` is an index into the users."""

    user: int
    first: int
    count: int


@dataclass
class Columns:
    """Users, their tracks, and the minutes of all tracks as columns.

    `minute` counts from 1970. `turn` is how many times 360 degrees are added to `long`, so
    that neighbours are drawn the short way. A line joins minutes of the same `segment`, which
    may continue from one day into the next.
    """

    users: list[str] = field(default_factory=list)
    tracks: list[TrackRows] = field(default_factory=list)
    values: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in COLUMNS})

    @property
    def minutes(self) -> int:
        """Return the number of minutes."""
        return len(self.values["minute"])


def collect(pages: Iterable[Page]) -> Columns:
    """Return the columns of minutes that are sorted by user and time.

    Raises Misconfigured if there are more than a browser can show.
    """
    columns = Columns()
    for track in tracks(Minutes(pages)):
        if columns.users[-1:] != [track.user_id]:
            columns.users.append(track.user_id)
        place = len(columns.users) - 1, columns.minutes, len(track.minutes)
        columns.tracks.append(TrackRows(*place))
        for minute in track.minutes:
            _append(columns.values, minute)
        if columns.minutes > MAX_MINUTES:
            raise Misconfigured(
                f"more than {MAX_MINUTES:,} minutes are too many for one page. "
                "Select fewer, by time or by user."
            )
    _join(columns)
    return columns


def _append(values: dict[str, list[int]], minute: Document) -> None:
    _, time = ids.parse_minute_id(minute["_id"])
    values["minute"].append(int(time.timestamp()) // 60)
    for name, scale in SCALES.items():
        value = minute[name]
        units = UNKNOWN if value is None else round(min(value * scale, MAX_INT32))
        values[name].append(units)


def _join(columns: Columns) -> None:
    """Fill in `segment` and `turn`: which minutes are joined, and on which turn each is drawn."""
    minutes, longs = columns.values["minute"], columns.values["long"]
    users = [track.user for track in columns.tracks for _ in range(track.count)]
    west = _western_edge(longs)
    turn, segment = 0, -1
    for at, long in enumerate(longs):
        if at == 0 or users[at] != users[at - 1] or minutes[at] - minutes[at - 1] > MAX_STEP:
            segment += 1
            turn = ceil((west - long) / _CIRCLE)
        elif abs(step := long - longs[at - 1]) > _CIRCLE // 2:
            turn += 1 if step < 0 else -1
        columns.values["segment"].append(segment)
        columns.values["turn"].append(turn)


def _western_edge(longs: list[int]) -> int:
    """Return where the map starts: at the eastern end of the widest range without a minute.

    So positions on both sides of the antimeridian are drawn near each other.
    """
    distinct = sorted(set(longs))
    widest, west = max(((east - west, east) for west, east in pairwise(distinct)), default=(0, 0))
    if not distinct or widest <= _CIRCLE - (distinct[-1] - distinct[0]):
        return -_CIRCLE // 2
    middle = west + (_CIRCLE - widest) // 2
    return west - _CIRCLE if middle > _CIRCLE // 2 else west


def pack(columns: Columns) -> str:
    """Return the columns as base64 of zlib of little-endian int32 differences."""
    steps = array("i")
    for name in COLUMNS:
        last = 0
        for value in columns.values[name]:
            steps.append((value - last + 2**31) % 2**32 - 2**31)
            last = value
    if sys.byteorder == "big":
        steps.byteswap()
    return base64.b64encode(zlib.compress(steps.tobytes(), 9)).decode()
