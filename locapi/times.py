"""How a time, a length of time and a resolution are written, on a command line or in a notebook."""

import re
from datetime import UTC, datetime, timedelta

UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
MAX_DURATION = timedelta(days=36_500)
MINUTE = UNITS["m"]


def utc(time: datetime) -> datetime:
    """Return the same instant in UTC; a time without a zone is UTC already."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def parse_time(text: str) -> datetime:
    """Return the UTC instant that a text names; raises ValueError with what to write."""
    try:
        return utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is no time; write 2017-01-01 or 2017-01-01T18:05:00Z"
        ) from error


def parse_duration(text: str) -> timedelta:
    """Return the length of time that a text names; raises ValueError with what to write."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is None:
        raise ValueError(f"{text!r} is no duration; write 90s, 15m, 36h or 7d")
    duration = int(found[1]) * UNITS[found[2]]
    if duration > MAX_DURATION:
        raise ValueError(f"{text!r} is too long; the most is {MAX_DURATION.days}d")
    return duration


def parse_resolution(text: str) -> timedelta:
    """Return the length of the buckets that a text names, of which a whole number makes a day."""
    span = parse_duration(text)
    if span < MINUTE or span % MINUTE or UNITS["d"] % span:
        raise ValueError(f"{text!r} does not divide a day into minutes; write 5m, 1h or 1d")
    return span
