"""Read tzdata's files independently of zoneinfo, to check its results.

The format is RFC 9636's. Times are seconds since 1970, in UTC or on the wall.
"""

import re
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from itertools import pairwise
from operator import attrgetter

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(2038, 1, 1, tzinfo=UTC)

_HEADER = struct.Struct(">20x6l")
_FOREVER = 1 << 40
_LAST_YEAR = 2038  # one more than is asked for: what a wall time means depends on what follows
_NAME = r"(?:<[^>]+>|[A-Za-z]+)"
_RULE = re.compile(
    rf"{_NAME}(?P<std>[-+:\d]+)"
    rf"(?:{_NAME}(?P<dst>[-+:\d]+)?,(?P<begins>M[^,]+),(?P<ends>M[^,]+))?"
)


def moment(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Span:
    """The UTC seconds from `start` until before `end`, in which a zone keeps one offset."""

    start: int
    end: int
    offset: int


def rules(tz: str) -> bytes:
    """Return a zone's file."""
    return resources.files("tzdata").joinpath("zoneinfo", *tz.split("/")).read_bytes()


@cache
def spans(tz: str) -> list[Span]:
    """Return the spans of a zone's offsets, from before 1970 until after 2037."""
    starts = list(_starts(tz))
    following = [*starts[1:], (_FOREVER, 0)]
    return [
        Span(start, end, offset)
        for (start, offset), (end, _) in zip(starts, following, strict=True)
    ]


def offset_at(tz: str, instant: datetime) -> timedelta:
    """Return a zone's offset at an instant."""
    begun = bisect_right(spans(tz), instant.timestamp(), key=attrgetter("start"))
    return timedelta(seconds=spans(tz)[begun - 1].offset)


def wall_at(instant: datetime, tz: str) -> datetime:
    """Return what a zone's clocks show at an instant."""
    return (instant + offset_at(tz, instant)).replace(tzinfo=None)


def changes(tz: str) -> Iterator[tuple[Span, Span]]:
    """Yield the spans before and after each change from 1970 to 2037."""
    for old, new in pairwise(spans(tz)):
        if 0 <= new.start < END.timestamp():
            yield old, new


def walls_around_changes(tz: str) -> list[int]:
    """Return every wall minute that a change skips or repeats, and those beside them."""
    walls: set[int] = set()
    for old, new in changes(tz):
        first, last = sorted((new.start + old.offset, new.start + new.offset))
        beside = 120 if first < last else 3600  # an hour that might be repeated, and is not
        walls.update(range((first - beside) // 60 * 60, last + beside, 60))
    return sorted(walls)


def meanings(tz: str, walls: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """Return the UTC seconds, with their offset, at which a zone's clocks show each wall time.

    Where they never show it, what it was without the change. `walls` is sorted.
    """
    meant: dict[int, list[tuple[int, int]]] = {wall: [] for wall in walls}
    for span in spans(tz):
        for wall in _between(walls, span.start + span.offset, span.end + span.offset):
            meant[wall].append((wall - span.offset, span.offset))
    for old, new in pairwise(spans(tz)):
        for wall in _between(walls, old.end + old.offset, new.start + new.offset):
            meant[wall] = meant[wall] or [(wall - old.offset, old.offset)]
    return meant


def _between(walls: Sequence[int], start: int, end: int) -> Sequence[int]:
    return walls[bisect_left(walls, start) : bisect_left(walls, end)]


def _starts(tz: str) -> Iterator[tuple[int, int]]:
    """Yield when each span starts, and its offset."""
    data = rules(tz)
    utc, std, leaps, times, types, letters = _HEADER.unpack_from(data)
    at = _HEADER.size + 5 * times + 6 * types + letters + 8 * leaps + std + utc
    *_, times, types, _ = _HEADER.unpack_from(data, at)  # the same again, in 64 bits
    at += _HEADER.size
    starts = struct.unpack_from(f">{times}q", data, at)
    which = data[at + 8 * times : at + 9 * times]
    offsets = [kind[0] for kind in struct.iter_unpack(">l2x", data[at + 9 * times :][: 6 * types])]
    yield -_FOREVER, offsets[0]
    yield from zip(starts, (offsets[kind] for kind in which), strict=True)
    rule = data.rstrip(b"\n").rsplit(b"\n", 1)[1].decode()
    yield from _yearly(rule, starts[-1] if starts else -_FOREVER)


def _yearly(text: str, since: int) -> Iterator[tuple[int, int]]:
    """Yield the changes after `since` by a rule such as `EST5EDT,M3.2.0,M11.1.0`."""
    rule = _RULE.fullmatch(text)
    assert rule, text
    if not rule["begins"]:
        return
    std = -_seconds(rule["std"])
    dst = -_seconds(rule["dst"]) if rule["dst"] else std + 3600
    for year in range(1970, _LAST_YEAR + 1):
        begins = _moment(year, rule["begins"]) - std, dst
        ends = _moment(year, rule["ends"]) - dst, std
        yield from (change for change in sorted([begins, ends]) if change[0] > since)


def _moment(year: int, text: str) -> int:
    """Return the wall time of, say, `M10.5.0/3`: the last (5th) Sunday of October at 3."""
    day_of, _, time = text[1:].partition("/")
    month, week, weekday = map(int, day_of.split("."))
    first = date(year, month, 1)
    day = first + timedelta(days=(weekday - first.isoweekday()) % 7, weeks=week - 1)
    if day.month != month:
        day -= timedelta(weeks=1)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(midnight.timestamp()) + _seconds(time or "2")


def _seconds(text: str) -> int:
    hours, *rest = text.lstrip("+-").split(":")
    seconds = 3600 * int(hours) + sum(
        int(part) * unit for part, unit in zip(rest, (60, 1), strict=False)
    )
    return -seconds if text.startswith("-") else seconds
