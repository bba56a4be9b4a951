"""Read a time as files have it: an instant, a local time or an epoch time.

Only what cannot be mistaken is read: ISO 8601 and its usual variants, but no date whose day and
month could be swapped.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any

from locapi import times

_MAX_LENGTH = 80
_ISO_LENGTH = len("2017-01-01T13:05:12")
_TIME = re.compile(
    r"(?P<year>[0-9]{4})(?P<dash>[-/.:])(?P<month>[0-9]{1,2})(?P=dash)(?P<day>[0-9]{1,2})"
    r"(?:T|\s+)(?P<hour>[0-9]{1,2})(?P<colon>:?)(?P<minute>[0-9]{2})"
    r"(?:(?P=colon)(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    r"(?:\s*(?P<offset>Z|(?:UTC|GMT)?[+-][0-9]{2}(?::?[0-9]{2})?|(?:UTC|GMT)(?:[+-][0-9])?)"
    r"(?:\[[\w/+:-]+\])?)?",
    re.ASCII | re.IGNORECASE,
)
_BASIC_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?=T|\s)", re.ASCII | re.IGNORECASE)
_OFFSET = re.compile(r"([+-])([0-9]{1,2}):?([0-9]{2})?$")
# RFC 2822, as mail and HTTP have it.
_MAIL_DATE = re.compile(
    r"(?:[A-Z][a-z]{2}, )?[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} (?:GMT|UTC|[+-][0-9]{4})"
)
_EPOCH_TIME = re.compile(r"[0-9]{9,19}(?:\.[0-9]*)?")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = 1e8  # seconds, in 1973: less is a clock that was not set, or days since 1900
# Seconds, milliseconds, microseconds and nanoseconds: less than this, and how many make a second.
_EPOCH_UNITS = ((1e11, 1), (1e14, 1_000), (1e17, 1_000_000), (1e20, 1_000_000_000))


def read_time(value: Any, zone: tzinfo | None = None) -> Any:
    """Return the UTC instant that a time means, or the local time as the API expects it.

    `zone` is the zone of times that name none; with None they are local times at their
    position. A value that cannot be read as a time is returned as it is.
    """
    try:
        if isinstance(value, str):
            return _read_text(value, zone)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _read_epoch_time(value)
    except (OverflowError, ValueError):  # not in the calendar, such as 30 February
        pass
    return value


def _read_text(text: str, zone: tzinfo | None) -> Any:
    is_iso = len(text) >= _ISO_LENGTH and text[10] in "T " and text.isascii()
    if is_iso and text[11:13] != "24":  # which `fromisoformat` reads from Python 3.14 on
        try:
            return _in_utc(datetime.fromisoformat(text), zone) or _as_local_time(text)
        except ValueError:
            pass  # it may be one of the variants
    text = text[:_MAX_LENGTH].strip().replace("\N{MINUS SIGN}", "-")
    if found := _TIME.fullmatch(_BASIC_DATE.sub(r"\1-\2-\3", text)):
        return _from_parts(found.groupdict(), zone) or text
    if _MAIL_DATE.fullmatch(text):
        return _in_utc(parsedate_to_datetime(text), zone)
    if _EPOCH_TIME.fullmatch(text):
        return _read_epoch_time(float(text) if "." in text else int(text))
    return text


def _as_local_time(text: str) -> str:
    """Return a local time in ISO 8601 as the API expects it, with at most six decimals."""
    return text.replace("T", " ").replace(",", ".")[: _ISO_LENGTH + 7]


def _from_parts(part: dict[str, str | None], zone: tzinfo | None) -> datetime | str | None:
    offset = _offset(part["offset"])
    if part["second"] is None and offset is None and zone is None:
        return None  # without seconds, all local times of a minute would be duplicates
    year, month, day, hour, minute, second = (
        int(part[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    time_of_day = timedelta(
        hours=hour,
        minutes=minute,
        seconds=second,
        microseconds=int(f"{part['fraction'] or '':0<6}"[:6]),
    )
    last_second = 59 if offset is None else 60  # a leap second
    if minute > 59 or second > last_second or time_of_day > timedelta(days=1):
        raise ValueError("not a time of day")
    time = datetime(year, month, day, tzinfo=offset) + time_of_day
    return _in_utc(time, zone) or time.isoformat(" ")


def _offset(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    found = _OFFSET.search(text)
    if not found:
        return UTC
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return timezone(-offset if found[1] == "-" else offset)


def _in_utc(time: datetime, zone: tzinfo | None) -> datetime | None:
    """Return the UTC instant of a time, cut to milliseconds; None for a local time."""
    if time.tzinfo is None:
        if zone is None:
            return None
        time = time.replace(tzinfo=zone)
    return times.cut_to_milliseconds(times.utc(time))


def _read_epoch_time(value: float) -> Any:
    for bound, per_second in _EPOCH_UNITS:
        if _EARLIEST * per_second <= value < bound:
            seconds = timedelta(seconds=value // per_second)
            rest = timedelta(seconds=round(value % per_second / per_second, 6))
            return _in_utc(_EPOCH + seconds + rest, None)
    return value
