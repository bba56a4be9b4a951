"""Judge fixes of every source but `PUT /location`: instants, unknown values, further fields."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from locapi import times
from locapi.errors import InvalidFix
from locapi.fixes import faults, hints, timezones, validation
from locapi.fixes.display import format_fault
from locapi.fixes.rules import RULES
from locapi.fixes.validation import Fix

# RFC 3339, and the offset without a colon that some apps write.
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})"
)
_A_TIME = "must be a time such as 2017-01-01T18:05:12Z or, as local time, 2017-01-01 13:05:12"


def judge(document: Mapping[str, Any]) -> Fix:
    """Return the fix in a decoded object, or raise InvalidFix with what is wrong with it.

    The timestamp is a local time or an instant, as text or an aware datetime. Accuracy and
    speed may be unknown; unknown fields are ignored.
    """
    fields = {name: document[name] for name in RULES if name in document}
    time = _read_instant(fields.get("timestamp")) or fields.get("timestamp")
    if isinstance(time, datetime):
        return judge_fields({**fields, "timestamp": time})
    try:
        return judge_fields(fields)
    except InvalidFix as error:
        if "timestamp" not in error.fields:
            raise
        # The rules know local times only.
        raise faults.invalid_fix({**error.fields, "timestamp": [_time_fault(fields)]}) from None


def _time_fault(fields: Mapping[str, Any]) -> str:
    if "timestamp" not in fields:
        return f"required field ({_A_TIME})"
    time = fields["timestamp"]
    return format_fault(_A_TIME, time, hints.time_advice(time))


def judge_fields(fields: dict[str, Any]) -> Fix:
    """Judge as `judge` does, but only fields of a fix, and no text of an instant."""
    time = fields.get("timestamp")
    if not isinstance(time, datetime):
        return validation.judge_with_unknowns(fields)
    try:
        return _judge_instant(fields, time)
    except OverflowError as error:  # in the first or the last year of the calendar
        fault = format_fault(_A_TIME, time.isoformat(), "the year is out of range")
        raise faults.invalid_fix({"timestamp": [fault]}) from error


def _judge_instant(fields: dict[str, Any], instant: datetime) -> Fix:
    instant = times.cut_to_milliseconds(instant.astimezone(UTC))
    # The rules come first: they ensure that there is a position to look the zone up for.
    fix = validation.judge_with_unknowns({**fields, "timestamp": hints.A_FIX["timestamp"]})
    wall = timezones.wall_time(instant, fix.lat, fix.long)
    return fix._replace(local_time=_text(wall), wall=wall, fix_time=instant)


def _read_instant(text: Any) -> datetime | None:
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None  # no such date: an invalid local time, too


def _text(wall: datetime) -> str:
    return wall.isoformat(" ", "milliseconds" if wall.microsecond else "seconds")
