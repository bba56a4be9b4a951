"""What a sender likely did, concluded from a value that was refused; no rule is held here.

All of it may be shown to the sender: short, on one line, in ASCII, without a sign that HTML
gives a meaning. Asked for only once a fix is refused, so it may take its time.
"""

import calendar
import json
import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

MOST = 40  # characters of a value that are sent back

A_FIX = {
    "timestamp": "2017-01-01 13:05:12.345",
    "lat": 40.7128,
    "long": -74.006,
    "accuracy": 5,
    "speed": 1.4,
    "user_id": "a1",
}

_MARKUP = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&"})
_LONGEST_NAME = 12  # of which to look for the nearest: to compare takes time
_E7 = 10_000_000
_BUDDHIST = 2_400  # years from here on are more likely of the Buddhist calendar than to come
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
_UNKNOWN_SPEED = "of an unknown speed: work it out from the fix before, or send 0"
_NEGATIVE = {
    "speed": f"below 0 is iOS's sign {_UNKNOWN_SPEED}",
    "accuracy": "below 0 is iOS's sign of an invalid position: do not send this fix",
}
_EXACT = "[0-9]{4}-[0-9]{2}-[0-9]{2}.[0-9]{2}:[0-9]{2}:[0-9]{2}"
_TIMES = [
    (re.compile(pattern, re.ASCII | re.IGNORECASE), advice)
    for pattern, advice in (
        (r"-?\d{9,11}(\.\d*)?$", "it looks like seconds since 1970: format the local time"),
        (r"-?\d{12,}(\.\d*)?$", "it looks like milliseconds since 1970: format the local time"),
        (r".*\dT\d", "put a space where the T is"),
        (
            r".*:.*(z|utc|gmt|[+-]\d\d:?(\d\d)?|\[.*\])\s*$",
            "leave out the zone, and send the local time: the zone comes from the position",
        ),
        (r".*\d\s*[ap]\.?m\b", "count hours from 00 to 23, without AM or PM: fix the locale"),
        (r"\d\d?[/.-]\d\d?[/.-]\d{2,4}|\d{4}[/.]\d", "write the date as YYYY-MM-DD"),
        (r".*[ T]24:", "midnight is 00:00:00 of the next day"),
        (r".*:60(\D|$)", "seconds end at 59: send a leap second as 59"),
        (r".*:\d\d,\d", "put a point before the milliseconds"),
        (r".*:\d\d\.(\d{7}|\D|$)", "send 1 to 6 digits after the point, such as .345"),
        (r"\d{4}-\d\d?-\d\d?$", "the time of day is missing"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d$", "the seconds are missing"),
        (
            r"(?=.*(-|:| )\d(\D|$))\d{4}-\d\d?-\d\d?[ T]\d\d?:\d\d?:\d\d?(?!\d)",
            "write two digits for month, day, hour, minute and second",
        ),
        (r"\s|.*\s$", "leave out the blanks around it"),
    )
]


class Refused(NamedTuple):
    """What stands in the place of a value that JSON does not have, or that is not one value."""

    shown: str
    advice: str


def told(fault: str, value: Any, advice: str = "") -> str:
    """Return a fault with what was sent and what to do; only what is in brackets may vary."""
    return f"{fault} (sent: {shown(value)}{advice and '; '}{advice})"


def shown(value: Any) -> str:
    """Return a value of a JSON document as its sender may see it again."""
    if isinstance(value, Refused):
        return value.shown
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0") if math.isfinite(value) else "a number too large"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return "an object" if isinstance(value, dict) else json.dumps(value)


def quoted(text: str, most: int = MOST) -> str:
    """Return the beginning of a text as a JSON string of some `most` characters."""
    return f'"{escaped(text, most)}"'


def escaped(text: str, most: int = MOST) -> str:
    """Return the beginning of a text, escaped as in JSON."""
    kept = head(text, most)
    return _escape(kept) + "..." * (kept != text)


def head(text: str, most: int = MOST) -> str:
    """Return as many of a text's first characters as take at most `most` once escaped."""
    kept = text[:most]
    while len(_escape(kept)) > most:
        kept = kept[:-1]
    return kept


def _escape(text: str) -> str:
    return json.dumps(text)[1:-1].translate(_MARKUP)


def unknown(name: str, document: dict[str, Any], names: list[str]) -> str:
    """Return what to do about a field that a fix does not have: rename it, or leave it out."""
    meant = _nearest(name, names)
    if meant is None or meant in document:
        return "leave it out"
    return f"did you mean {meant}?"


def _nearest(name: str, names: list[str]) -> str | None:
    plain = re.sub(r"[^a-z]", "", name[:MOST].lower())
    known = {each.replace("_", ""): each for each in names}
    if meant := _OTHER_NAMES.get(plain) or known.get(plain):
        return meant
    if len(plain) > _LONGEST_NAME:
        return None
    close = get_close_matches(plain, [*known, "latitude", "longitude"], n=1, cutoff=0.75)
    return known.get(close[0]) or _OTHER_NAMES[close[0]] if close else None


def number(field: str, value: Any, least: float, most: float) -> str:
    """Return what to do about a value that is no number from `least` to `most`."""
    if isinstance(value, Refused):
        return value.advice
    if isinstance(value, str):
        return _number_in(value)
    if not isinstance(value, float):
        return f"null is no sign {_UNKNOWN_SPEED}" if (field, value) == ("speed", None) else ""
    if value < least and field in _NEGATIVE:
        return _NEGATIVE[field]
    if field == "lat" and most < abs(value) <= 2 * most:
        return "are lat and long swapped?"
    if least <= value / _E7 <= most and abs(value) > 1000:
        return "send degrees, not their ten-millionths"
    return ""


def _number_in(text: str) -> str:
    if not re.fullmatch(r"\s*[+-]?[0-9]+([.,][0-9]+)?\s*", text):
        return "a string is no number"
    return "send it without quotes" + (", with a point" if "," in text else "")


def out_of_range(year: int, least: int) -> str:
    """Return what to do about a time that no fix can have, by its year."""
    if year < least:
        return f"this is before {least}: see that the device's clock and calendar are right"
    if year >= _BUDDHIST:
        return "format it in the Gregorian calendar: use the locale en_US_POSIX"
    return "this is in the future: see that the device's clock and zone are right"


def local_time(value: Any) -> str:
    """Return what to do about a value that is no local date and time."""
    if isinstance(value, Refused):
        return value.advice
    if isinstance(value, float):
        value = f"{value:.0f}"
    if not isinstance(value, str):
        return ""
    return "; ".join(_times(value[:MOST]))


def _times(text: str) -> Iterator[str]:
    for pattern, advice in _TIMES:
        if pattern.match(text):
            yield advice
    if text.isascii():
        yield from _no_date(text)
    else:
        yield "write it in ASCII: format it in the locale en_US_POSIX"


def _no_date(text: str) -> Iterator[str]:
    if not re.match(_EXACT, text):
        return
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    if not 1 <= month <= 12:
        yield "months are 01 to 12"
    elif year < 1:
        yield "there is no year 0000"
    elif not 0 < day <= calendar.monthrange(year, month)[1]:
        yield f"{text[:7]} has days 01 to {calendar.monthrange(year, month)[1]}"


def text(value: Any) -> str:
    """Return what to do about a value that is no text of the length that is wanted."""
    if isinstance(value, Refused):
        return value.advice
    if isinstance(value, str):
        return f"{len(value)} characters" if value else "it is empty"
    return "send it in quotes" if isinstance(value, float) else ""


def bad_sign(found: re.Match[str]) -> str:
    """Return which character of a text is not allowed, and where it stands."""
    return f"character {found.start() + 1} is U+{ord(found[0]):04X}"
