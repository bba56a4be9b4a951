"""Read times, durations and resolutions as users write them, and this machine's clock."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
MAX_DURATION = timedelta(days=36_500)
MINUTE = UNITS["m"]


def utc_now() -> datetime:
    """Return this machine's time."""
    return datetime.now(UTC)


def utc(time: datetime) -> datetime:
    """Return the same instant in UTC; a time without a zone is UTC already."""
    if time.tzinfo is not None:
        return time.astimezone(UTC)
    return datetime.combine(time, time.time(), UTC)  # four times as fast as `replace`


def cut_to_milliseconds(time: datetime) -> datetime:
    """Return a time without its microseconds; the database keeps none."""
    excess = time.microsecond % 1000
    return time - timedelta(microseconds=excess) if excess else time


def format_time(time: datetime) -> str:
    """Return a UTC time as the API writes it, in whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Return the UTC instant that a text names; raises ValueError with what to write."""
    try:
        return utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is not a time. Write 2017-01-01 or 2017-01-01T18:05:00Z."
        ) from error


def parse_duration(text: str) -> timedelta:
    """Return the length of time that a text names; raises ValueError with what to write."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration. Write 90s, 15m, 36h or 7d.")
    duration = int(found[1]) * UNITS[found[2]]
    if duration > MAX_DURATION:
        raise ValueError(f"{text!r} is too long. The maximum is {MAX_DURATION.days}d.")
    return duration


def parse_resolution(text: str) -> timedelta:
    """Return the length of the buckets that a text names, of which a whole number makes a day."""
    span = parse_duration(text)
    if span < MINUTE or span % MINUTE or UNITS["d"] % span:
        raise ValueError(f"{text!r} does not divide a day into minutes. Write 5m, 1h or 1d.")
    return span


def parse_zone(text: str) -> tzinfo:
    """Return the time zone of an IANA name, `UTC` or an offset such as +02:00.

    Raises ValueError with what to write.
    """
    try:
        if text.startswith(("+", "-")):
            midnight = datetime.fromisoformat(f"2000-01-01T00:00:00{text}")
            return midnight.tzinfo or UTC
        return ZoneInfo(text)
    except (LookupError, OSError, ValueError) as error:
        raise ValueError(
            f"{text!r} is not a time zone. Write a name such as Europe/Berlin, UTC or +02:00."
        ) from error
