"""Convert between local time at a position and UTC.

A local time that a change of clocks repeats has two readings; the caller chooses one.
"""

from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo

from timezonefinder import TimezoneFinder

from locapi import times


class Instant(NamedTuple):
    """One reading of a local time: the UTC instant, the IANA zone, its UTC offset in seconds."""

    fix_time: datetime
    tz: str
    utc_offset: int


@cache
def _finder() -> TimezoneFinder:
    # It maps its file into memory, as fast as a copy of it; all processes share the pages.
    return TimezoneFinder()


@cache
def _zone(tz: str) -> ZoneInfo:
    # Use the package tzdata, not the system's files, so that every host has the same rules.
    *folders, name = tz.split("/")
    file = resources.files("tzdata").joinpath("zoneinfo", *folders, name)
    with file.open("rb") as rules:
        return ZoneInfo.from_file(rules, key=tz)


def load() -> None:
    """Open the zone map, so that the first fix does not wait for it."""
    zone_at(0.0, 0.0)
    utc_offsets()


# An import looks each position up twice, a batch apart; a phone that rests sends one many times.
@lru_cache(maxsize=4096)
def zone_at(lat: float, long: float) -> str:
    """Return the IANA zone at a position in degrees; at sea it is an `Etc/GMT±N` zone."""
    tz = _finder().timezone_at(lat=lat, lng=long)
    if tz is None:
        raise LookupError(f"the zone map has no zone at {lat}, {long}")
    return tz


@cache
def utc_offsets() -> list[int]:
    """Return every UTC offset that a zone of the map has had since 1970, in seconds."""
    years = range(1970, datetime.now(UTC).year + 2)
    months = [datetime(year, month, 1) for year in years for month in range(1, 13)]  # noqa: DTZ001
    zones = map(_zone, _finder().timezone_names)
    found = {zone.utcoffset(month) or timedelta() for zone in zones for month in months}
    return sorted(round(offset.total_seconds()) for offset in found)


def wall_time(instant: datetime, lat: float, long: float) -> datetime:
    """Return the naive local time at a position in degrees at an aware instant."""
    return _local_time(instant, zone_at(lat, long))


def utc_offset(instant: datetime, tz: str) -> int:
    """Return the UTC offset in seconds of an IANA zone at an aware instant."""
    offset = instant.astimezone(_zone(tz)).utcoffset() or timedelta()
    return round(offset.total_seconds())


def readings(wall: datetime, lat: float, long: float) -> list[Instant]:
    """Return the readings of the naive local time `wall` at a position in degrees, in order."""
    return zone_readings(wall, zone_at(lat, long))


def zone_readings(wall: datetime, tz: str) -> list[Instant]:
    """Return the readings of the naive local time `wall` in an IANA zone, in order.

    There are two in the hour that an autumn change repeats, and one at any other time. In
    the gap of a spring change the offset before the change holds (PEP 495, `fold=0`).
    """
    zone = _zone(tz)
    before, after = zone.utcoffset(wall), zone.utcoffset(wall.replace(fold=1))
    first = _instant(wall, tz, before)
    if after == before:
        return [first]
    second = _instant(wall, tz, after)
    if second.fix_time <= first.fix_time:
        return [first]
    # In the year in which a zone's yearly rule begins, zoneinfo repeats an hour that the zone did
    # not repeat (Nuuk in 2023).
    return [first, second] if _local_time(first.fix_time, tz) == wall else [second]


def _local_time(instant: datetime, tz: str) -> datetime:
    return instant.astimezone(_zone(tz)).replace(tzinfo=None, fold=0)


def _instant(wall: datetime, tz: str, offset: timedelta | None) -> Instant:
    offset = offset or timedelta()
    fix_time = times.utc(wall) - offset
    return Instant(fix_time, tz, round(offset.total_seconds()))
