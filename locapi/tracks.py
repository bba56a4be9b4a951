"""Minutes become tracks, one a user and UTC day, in columns of whole numbers that pack small."""

import base64
import sys
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from math import ceil

from locapi import keys
from locapi.errors import Misconfigured
from locapi.export import Page
from locapi.mongo import Document

MAX_MINUTES = 200_000
GAP_MINUTES = 5  # what lies further apart is not joined by a line
# What one unit of a column is a part of: a millionth of a degree, a centimetre, a millimetre/s.
SCALES = {"lat": 1_000_000, "long": 1_000_000, "accuracy": 100, "speed": 1_000, "count": 1}
COLUMNS = ("minute", *SCALES, "turn", "piece")
GREATEST = 2**31 - 1  # of a column; more is stored as this
_DAY = 24 * 60
_CIRCLE = 360 * SCALES["long"]


@dataclass(frozen=True)
class Track:
    """The minutes of one user and day: `count` from `first` on; `user` is a place in `users`."""

    user: int
    first: int
    count: int


@dataclass
class Tracks:
    """All tracks, and their minutes in columns.

    `minute` counts from 1970. `turn` is how many times 360 degrees are to be added to
    `long` so that neighbours lie on the short side. Minutes with the same `piece`
    are joined by a line.
    """

    users: list[str] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    columns: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in COLUMNS})

    @property
    def minutes(self) -> int:
        """Return how many minutes there are."""
        return len(self.columns["minute"])


def gather(pages: Iterable[Page]) -> Tracks:
    """Return the tracks of minutes that come sorted by user and then time.

    Raises Misconfigured where they are more than a browser can show.
    """
    tracks = Tracks()
    rows = (minute for page in pages for minute in page)
    for user_id, of_user in groupby(rows, key=lambda minute: minute["_id"].split("\t")[0]):
        tracks.users.append(user_id)
        first = tracks.minutes
        for minute in of_user:
            _add(tracks.columns, minute)
            if tracks.minutes > MAX_MINUTES:
                raise Misconfigured(
                    f"there are more than {MAX_MINUTES:,} minutes, too many for one page; "
                    "choose fewer by --since, --until or --user"
                )
        tracks.tracks += _days(len(tracks.users) - 1, tracks.columns["minute"], first)
    _lay_out(tracks)
    return tracks


def _add(columns: dict[str, list[int]], minute: Document) -> None:
    _, time = keys.parse_minute_id(minute["_id"])
    columns["minute"].append(int(time.timestamp()) // 60)
    for name, scale in SCALES.items():
        columns[name].append(round(min(minute[name] * scale, GREATEST)))


def _days(user: int, minutes: list[int], first: int) -> list[Track]:
    days = []
    for _, of_day in groupby(minutes[first:], key=lambda minute: minute // _DAY):
        count = len(list(of_day))
        days.append(Track(user, first, count))
        first += count
    return days


def _lay_out(tracks: Tracks) -> None:
    """Fill the columns that say how minutes are joined, and where."""
    minutes, longs = tracks.columns["minute"], tracks.columns["long"]
    users = [track.user for track in tracks.tracks for _ in range(track.count)]
    west = _west(longs)
    turn = piece = 0
    for at, long in enumerate(longs):
        apart = at == 0 or users[at] != users[at - 1] or minutes[at] - minutes[at - 1] > GAP_MINUTES
        piece += apart and at > 0
        if apart:
            turn = ceil((west - long) / _CIRCLE)
        elif abs(step := long - longs[at - 1]) > _CIRCLE // 2:
            turn += 1 if step < 0 else -1
        tracks.columns["piece"].append(piece)
        tracks.columns["turn"].append(turn)


def _west(longs: list[int]) -> int:
    """Return where the map begins: east of the widest stretch in which nobody was.

    So what lies on both sides of the antimeridian is near each other on the map.
    """
    distinct = sorted(set(longs))
    widest, west = max(((east - west, east) for west, east in pairwise(distinct)), default=(0, 0))
    if not distinct or widest <= _CIRCLE - (distinct[-1] - distinct[0]):
        return -_CIRCLE // 2
    middle = west + (_CIRCLE - widest) // 2
    return west - _CIRCLE if middle > _CIRCLE // 2 else west


def packed(tracks: Tracks) -> str:
    """Return the columns as base64 of zlib of little-endian int32, each the step from the last."""
    steps = array("i")
    for name in COLUMNS:
        last = 0
        for value in tracks.columns[name]:
            steps.append((value - last + 2**31) % 2**32 - 2**31)
            last = value
    if sys.byteorder == "big":
        steps.byteswap()
    return base64.b64encode(zlib.compress(steps.tobytes(), 9)).decode()
