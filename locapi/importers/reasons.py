"""Say why a row is rejected, and what to do about it in the file or with an option."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from locapi.errors import InvalidFix
from locapi.fixes import display, hints
from locapi.fixes.rules import RULES

_MISSING = "missing"
_FOUND = " (found: "
_A_TIME = "must be a time that cannot be misread, such as 2017-01-01T18:05:12Z"
_AN_INSTANT = "must be between 1970-01-01 UTC and one day from now"
_E7 = 10_000_000
_TIMES = (
    (r"[0-9]+(\.[0-9]*)?$", "not an epoch time after 1973 in s, ms, us or ns"),
    (r"[0-9.]+e[+-]?[0-9]+$", "a program has rounded it"),
    (r".*[0-9]\s*[ap]\.?m\b", "convert it to YYYY-MM-DD and 24 hours"),
    (r"[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2,4}", "convert the date to YYYY-MM-DD"),
    (r"[0-9]{4}([-/.]?[0-9]{2}){2}$", "the time of day is missing"),
    (r"[0-9]{4}([-/.]?[0-9]{2}){2}[ T]+[0-9]{2}:?[0-9]{2}$", "the seconds are missing"),
    (
        r"[0-9]{4}.*:[0-9]{2}[0-9.,]*\s*\[?(?!UTC|GMT)[A-Z]{2}",
        "write the zone as an offset such as +02:00, or remove it and use --timezone",
    ),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T]+[0-9]{2}:", "no such date and time in the calendar"),
)
_NUMBERS = (
    (r"\s*[+-]?[0-9]+,[0-9]+\s*$", "a decimal comma needs columns separated by semicolons"),
    (r"\s*[+-]?[0-9.]+\s*[^\s0-9.,]+\s*$", "remove the unit"),
)


def missing(fields: Iterable[str]) -> InvalidFix:
    """Return the error for a row without these fields."""
    return InvalidFix("fields are missing", {field: [_MISSING] for field in fields})


def broken_rules(fields: Iterable[str], values: Mapping[str, Any]) -> InvalidFix:
    """Return the error for a row whose values of these fields break the rules of the API."""
    found = ((field, values.get(field)) for field in fields)
    return InvalidFix(
        "the row breaks the rules",
        {
            field: [_fault(_rule(field, value), value, _hint(field, value))]
            for field, value in found
        },
    )


def out_of_range(time: datetime | str) -> InvalidFix:
    """Return the error for a row whose time cannot be that of a fix."""
    return InvalidFix("the time is out of range", {"timestamp": [_fault(_AN_INSTANT, time)]})


def _rule(field: str, value: Any) -> str:
    if field != "timestamp":
        return hints.wanted(field)
    return _AN_INSTANT if isinstance(value, datetime) else _A_TIME


def _fault(rule: str, value: Any, hint: str = "") -> str:
    shown = display.shown(value.isoformat() if isinstance(value, datetime) else value)
    return f"{rule}{_FOUND}{shown}{hint and '; '}{hint})"


def _hint(field: str, value: Any) -> str:
    if isinstance(value, str):
        known = _TIMES if field == "timestamp" else _NUMBERS if field != "user_id" else ()
        text = value[: display.MAX_SHOWN]
        matching = (hint for pattern, hint in known if re.match(pattern, text, re.I | re.A))
        return next(matching, "")
    if field not in ("timestamp", "user_id") and isinstance(value, float):
        return _number_hint(field, value)
    return ""


def _number_hint(field: str, value: float) -> str:
    if field == "accuracy" and value < 0:
        return "the phone had no valid position"
    greatest = RULES[field].get("max", 0)
    if field == "lat" and greatest < abs(value) <= 2 * greatest:
        return "are lat and long swapped?"
    if greatest < abs(value) <= greatest * _E7:
        return "is it in ten-millionths of a degree?"
    return ""


def reasons(fault: InvalidFix) -> list[str]:
    """Return each reason why a row is rejected; all missing fields are one."""
    absent = [field for field, (text, *_) in fault.fields.items() if text == _MISSING]
    others = [
        f"{field}: {text}"
        for field, texts in fault.fields.items()
        for text in texts
        if text != _MISSING
    ]
    return [*([f"no {', '.join(absent)}"] if absent else []), *others] or [str(fault)]


def without_value(reason: str) -> str:
    """Return a reason without the value that was found."""
    return reason.partition(_FOUND)[0]


def missing_fields(fault: InvalidFix) -> list[str]:
    """Return the fields that a row does not have."""
    return [field for field, texts in fault.fields.items() if texts == [_MISSING]]
