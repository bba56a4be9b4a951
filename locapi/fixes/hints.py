"""Guess what was meant by a value that was refused, and say what to send instead.

Hints are made only for refused fixes, so they need not be fast.
"""

import calendar
import math
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from locapi.fixes.display import MAX_SHOWN, Refused
from locapi.fixes.rules import RULES, UNPRINTABLE

A_FIX = {
    "timestamp": "2017-01-01 13:05:12.345",
    "lat": 40.7128,
    "long": -74.006,
    "accuracy": 5,
    "speed": 1.4,
    "user_id": "a1",
}

_MAX_NAME = 12  # of a field that is compared with the known ones, which takes time
_E7 = 10_000_000
_BUDDHIST = 2_400  # from this year on, a Buddhist calendar is more likely than a future date
_OTHER_NAMES = {
    "lng": "long",
    "lon": "long",
    "longitude": "long",
    "latitude": "lat",
    "ts": "timestamp",
    "time": "timestamp",
    "date": "timestamp",
    "datetime": "timestamp",
    "localtime": "timestamp",
    "acc": "accuracy",
    "horizontalaccuracy": "accuracy",
    "velocity": "speed",
    "user": "user_id",
    "uid": "user_id",
    "id": "user_id",
}
_UNKNOWN_SPEED = "calculate it from the previous fix, or send 0"
_NEGATIVE = {
    "speed": f"on iOS this means that the speed is unknown: {_UNKNOWN_SPEED}",
    "accuracy": "on iOS this means that the position is invalid: do not send this fix",
}
_EXACT = "[0-9]{4}-[0-9]{2}-[0-9]{2}.[0-9]{2}:[0-9]{2}:[0-9]{2}"

_Hints = list[tuple[re.Pattern[str], str]]


def _hints(*pairs: tuple[str, str]) -> _Hints:
    return [(re.compile(pattern, re.ASCII | re.IGNORECASE), hint) for pattern, hint in pairs]


def _since_1970(what_to_do: str) -> _Hints:
    return _hints(
        (r"-?\d{9,11}(\.\d*)?$", f"this looks like seconds since 1970: {what_to_do}"),
        (r"-?\d{12,}(\.\d*)?$", f"this looks like milliseconds since 1970: {what_to_do}"),
    )


_LOCAL_TIMES = [
    *_since_1970("format it as local time"),
    *_hints(
        (r".*\dT\d", "use a space instead of the T"),
        (
            r".*:.*(z|utc|gmt|[+-]\d\d:?(\d\d)?|\[.*\])\s*$",
            "send the local time without a zone: the position gives the zone",
        ),
    ),
]
_LOCAL_TIMES_OR_INSTANTS = [
    *_since_1970("format it as a date and time"),
    *_hints(
        (
            r".*\dT(?!.*(z|utc|gmt|[+-]\d\d(:?\d\d)?|\])\s*$)",
            "add Z or an offset after the time, or use a space instead of the T",
        ),
        (r".*\d\s+(z|[+-]\d\d:?\d\d)\s*$", "remove the space before the zone"),
        (r".*:.*(utc|gmt|[+-]\d\d|\])\s*$", "write the zone as Z or as an offset such as +02:00"),
    ),
]
_TIMES = _hints(
    (r".*\d\s*[ap]\.?m\b", "use hours from 00 to 23 without AM or PM: set the locale"),
    (r"\d\d?[/.-]\d\d?[/.-]\d{2,4}|\d{4}[/.]\d", "write the date as YYYY-MM-DD"),
    (r".*[ T]24:", "midnight is 00:00:00 of the next day"),
    (r".*:60(\D|$)", "seconds go up to 59: send a leap second as 59"),
    (r".*:\d\d,\d", "use a point before the milliseconds"),
    (r".*:\d\d\.(\d{7}|\D|$)", "send 1 to 6 digits after the point, such as .345"),
    (r"\d{4}-\d\d?-\d\d?$", "the time of day is missing"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d([zZ]|$)", "the seconds are missing"),
    (
        r"(?=.*(-|:| )\d(\D|$))\d{4}-\d\d?-\d\d?[ T]\d\d?:\d\d?:\d\d?(?!\d)",
        "use two digits for month, day, hour, minute and second",
    ),
    (r"\s|.*\s$", "remove the whitespace around it"),
)


def wanted(field: str) -> str:
    """Return what a field must be."""
    rule, example = RULES[field], A_FIX[field]
    if field == "timestamp":
        return f"must be a local date and time such as {example}"
    if field == "user_id":
        length = f"{rule['minlength']} to {rule['maxlength']} characters"
        return f"must be a string of {length}, such as {example}"
    bounds = f"from {rule['min']} to {rule['max']}" if "max" in rule else f"{rule['min']} or more"
    return f"must be a number {bounds}, such as {example}"


def unknown(name: str, document: Mapping[str, Any]) -> str:
    """Return what to do about an unknown field: rename it, or remove it."""
    meant = _nearest(name)
    return "remove it" if meant is None or meant in document else f"did you mean {meant}?"


def _nearest(name: str) -> str | None:
    plain = re.sub(r"[^a-z]", "", name[:MAX_SHOWN].lower())
    known = {each.replace("_", ""): each for each in RULES}
    if meant := _OTHER_NAMES.get(plain) or known.get(plain):
        return meant
    if len(plain) > _MAX_NAME:
        return None
    close = get_close_matches(plain, [*known, "latitude", "longitude"], n=1, cutoff=0.75)
    return known.get(close[0]) or _OTHER_NAMES[close[0]] if close else None


def advice(field: str, value: Any) -> str:
    """Return what to do about a field's value, or an empty string."""
    if isinstance(value, Refused):
        return value.hint
    if field == "timestamp":
        return _timestamp(value, _LOCAL_TIMES)
    return _user_id(value) if field == "user_id" else _number(field, value)


def time_advice(value: Any) -> str:
    """Return what to do about a timestamp where an instant is accepted, too."""
    return value.hint if isinstance(value, Refused) else _timestamp(value, _LOCAL_TIMES_OR_INSTANTS)


def _number(field: str, value: Any) -> str:
    if isinstance(value, str):
        return _number_in(value)
    if value is None and field == "speed":
        return f"if the speed is unknown, {_UNKNOWN_SPEED}"
    if not isinstance(value, float):
        return ""
    least, most = RULES[field]["min"], RULES[field].get("max", math.inf)
    if value < least and field in _NEGATIVE:
        return _NEGATIVE[field]
    if field == "lat" and most < abs(value) <= 2 * most:
        return "are lat and long swapped?"
    if least <= value / _E7 <= most and abs(value) > 1000:
        return "send degrees, not ten-millionths of a degree"
    return ""


def _number_in(text: str) -> str:
    if not re.fullmatch(r"\s*[+-]?[0-9]+([.,][0-9]+)?\s*", text):
        return "a string is not a number"
    return "send it without quotes" + (" and with a decimal point" if "," in text else "")


def out_of_range(year: int, least: int) -> str:
    """Return what to do about a time that is out of range, by its year."""
    if year < least:
        return f"this is before {least}: check the device's clock and calendar"
    if year >= _BUDDHIST:
        return "use the Gregorian calendar and the locale en_US_POSIX"
    return "this is in the future: check the device's clock and time zone"


def _timestamp(value: Any, forms: _Hints) -> str:
    if isinstance(value, float):
        value = f"{value:.0f}"
    return "; ".join(_times(value[:MAX_SHOWN], forms)) if isinstance(value, str) else ""


def _times(text: str, forms: _Hints) -> Iterator[str]:
    for pattern, hint in [*forms, *_TIMES]:
        if pattern.match(text):
            yield hint
    if not text.isascii():
        yield "use ASCII digits: set the locale en_US_POSIX"
    elif re.match(_EXACT, text):
        yield from _no_date(int(text[:4]), int(text[5:7]), int(text[8:10]))


def _no_date(year: int, month: int, day: int) -> Iterator[str]:
    if not 1 <= month <= 12:
        yield "months are 01 to 12"
    elif year < 1:
        yield "there is no year 0000"
    elif not 0 < day <= calendar.monthrange(year, month)[1]:
        last = calendar.monthrange(year, month)[1]
        yield f"the days of {year:04}-{month:02} are 01 to {last}"


def _user_id(value: Any) -> str:
    if isinstance(value, str):
        return f"this has {len(value)} characters" if value else "this is empty"
    return "send it in quotes" if isinstance(value, float) else ""


def unprintable(text: str) -> str:
    """Return which character of a text is not allowed, and where it is."""
    found = re.search(f"[{UNPRINTABLE}]", text)
    return f"character {found.start() + 1} is U+{ord(found[0]):04X}" if found else ""
