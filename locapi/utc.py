"""Turn a device's wall time and position into UTC; which of two readings holds is the caller's."""

from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo

from timezonefinder import TimezoneFinder


class Instant(NamedTuple):
    """A moment as concluded from a wall time: UTC, the IANA zone, and its offset in seconds."""

    fix_time: datetime
    tz: str
    utc_offset: int


@cache
def _finder() -> TimezoneFinder:
    return TimezoneFinder(in_memory=True)


@cache
def _zone(tz: str) -> ZoneInfo:
    # From the tzdata package, not the system's files: every host then has the same rules.
    *folders, name = tz.split("/")
    file = resources.files("tzdata").joinpath("zoneinfo", *folders, name)
    with file.open("rb") as rules:
        return ZoneInfo.from_file(rules, key=tz)


def now() -> datetime:
    """Return this machine's time."""
    return datetime.now(UTC)


def load() -> None:
    """Read the zone shapes into memory now, so that the first fix need not wait for it."""
    zone_at(0.0, 0.0)


def zone_at(lat: float, long: float) -> str:
    """Return the IANA zone at a position in degrees; at sea it is an `Etc/GMT` one."""
    tz = _finder().timezone_at(lat=lat, lng=long)
    if tz is None:
        raise LookupError("the zone map has a hole")
    return tz


def wall_time(instant: datetime, lat: float, long: float) -> datetime:
    """Return the naive local time that clocks at a position in degrees show at an instant."""
    return instant.astimezone(_zone(zone_at(lat, long))).replace(tzinfo=None, fold=0)


def readings(wall: datetime, lat: float, long: float) -> list[Instant]:
    """Return what the naive local time `wall` can mean at a position in degrees, earliest first."""
    return zone_readings(wall, zone_at(lat, long))


def zone_readings(wall: datetime, tz: str) -> list[Instant]:
    """Return what the naive local time `wall` can mean in an IANA zone, earliest first.

    Two readings in the hour that an autumn change repeats, else one. In the gap
    of a spring change the offset before the change holds (PEP 495, `fold=0`).
    """
    first = _instant(wall, tz)
    second = _instant(wall.replace(fold=1), tz)
    if second.fix_time <= first.fix_time:
        return [first]
    # zoneinfo repeats an hour that was not where a zone's yearly rule begins (Nuuk in 2023).
    return [first, second] if _shows(first, wall) else [second]


def wall_at(instant: datetime, lat: float, long: float) -> datetime:
    """Return the naive local time that clocks at a position in degrees show at a UTC instant."""
    shown = instant.astimezone(_zone(zone_at(lat, long)))
    return shown.replace(tzinfo=None, fold=0)


def _shows(instant: Instant, wall: datetime) -> bool:
    shown = instant.fix_time.astimezone(_zone(instant.tz))
    return shown.replace(tzinfo=None, fold=0) == wall


def _instant(wall: datetime, tz: str) -> Instant:
    offset = _zone(tz).utcoffset(wall) or timedelta()
    fix_time = wall.replace(tzinfo=UTC, fold=0) - offset
    return Instant(fix_time, tz, round(offset.total_seconds()))
