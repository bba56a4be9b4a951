"""Read a fix from a request's body.

Nearly all documents are valid, and a few comparisons recognize those. Any other document goes to
Cerberus, which takes far longer and finds all of its faults.
"""

import re
import sys
from datetime import MAXYEAR, UTC, datetime
from typing import Any, NamedTuple

from locapi import times
from locapi.errors import InvalidFix
from locapi.fixes import faults, strict_json
from locapi.fixes.averages import OPTIONAL
from locapi.fixes.rules import RULES, TIMESTAMP, UNPRINTABLE

MAX_BODY_BYTES = 8 * 1024
MAX_DOUBLE = sys.float_info.max
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # instant of a fix

_MAX_FIELDS = 20  # the time that Cerberus takes grows with the square of the faults
_BOUNDS = [
    (name, rule["min"], rule.get("max", MAX_DOUBLE))
    for name, rule in RULES.items()
    if rule["type"] == "number"
]
_MAX_USER_ID = RULES["user_id"]["maxlength"]
_UNPRINTABLE = re.compile(f"[{UNPRINTABLE}]")
_TIMESTAMP = re.compile(TIMESTAMP)


class Fix(NamedTuple):
    """One valid fix as sent: degrees, metres, metres a second, and the device's wall time."""

    user_id: str
    local_time: str
    wall: datetime  # `local_time` as a naive value, cut to milliseconds
    lat: float
    long: float
    accuracy: float | None  # None if unknown
    speed: float | None
    fix_time: datetime | None = None  # UTC, if the source gives it; a request never does


def parse(body: bytes) -> Fix:
    """Return the fix in a request's body, or raise InvalidFix with what is wrong with it."""
    return judge(decode(body))


def decode(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a request's body, or raise InvalidFix."""
    if len(body) > MAX_BODY_BYTES:
        raise InvalidFix(
            f"the body has more than {MAX_BODY_BYTES} bytes"
            " (a fix takes fewer than 1,000: send one fix per request)"
        )
    return strict_json.decode(body)


def judge(document: dict[str, Any]) -> Fix:
    """Return the fix in a decoded object, or raise InvalidFix with what is wrong with it."""
    if len(document) > _MAX_FIELDS:
        raise InvalidFix(
            f"the body has {len(document)} fields, but a fix has {len(RULES)}"
            f" (send {', '.join(RULES)})"
        )
    fix = _fix(document)
    if fix is None:
        raise faults.invalid_fix(faults.find_faults(document))
    return fix


def judge_with_unknowns(document: dict[str, Any]) -> Fix:
    """Return the fix in an object whose accuracy or speed may be unknown, or raise InvalidFix.

    Unknown is a value that is missing or None, and a speed below 0, as phones mark it.
    """
    if fix := _fix(document):  # most have all values
        return fix
    unknown: dict[str, Any] = dict.fromkeys(
        name for name in OPTIONAL if _is_unknown(name, document.get(name))
    )
    fix = judge({**document, **dict.fromkeys(unknown, 0.0)})
    return fix._replace(**unknown)


def _is_unknown(name: str, value: Any) -> bool:
    is_marked = name == "speed" and type(value) is float and -MAX_DOUBLE <= value < 0
    return value is None or is_marked


def is_in_range(wall: datetime) -> bool:
    """Return whether a local time can mean an instant that is stored, and can be calculated with.

    It may be of 1969, where the clocks are behind UTC.
    """
    return EARLIEST.year - 1 <= wall.year < MAXYEAR


def user_id_faults(user_id: str) -> list[str]:
    """Return what is wrong with a user_id that does not come from a fix."""
    return faults.find_faults({"user_id": user_id}).get("user_id", [])


def _fix(document: dict[str, Any]) -> Fix | None:
    """Return the fix if the document keeps all `RULES`."""
    if document.keys() != RULES.keys():
        return None
    for name, least, most in _BOUNDS:
        value = document[name]
        # Every JSON number is a float here. NaN and infinity fail the comparison.
        if type(value) is not float or not least <= value <= most:
            return None
    user_id = document["user_id"]
    if type(user_id) is not str or not 0 < len(user_id) <= _MAX_USER_ID:
        return None
    wall = _wall(document["timestamp"])
    if wall is None or _UNPRINTABLE.search(user_id):
        return None
    return Fix(
        user_id=user_id,
        local_time=document["timestamp"],
        wall=wall,
        lat=document["lat"],
        long=document["long"],
        accuracy=document["accuracy"],
        speed=document["speed"],
    )


def _wall(text: Any) -> datetime | None:
    if type(text) is not str or not _TIMESTAMP.fullmatch(text):
        return None
    try:
        wall = datetime.fromisoformat(text)
    except ValueError:  # no such date in the calendar
        return None
    return times.cut_to_milliseconds(wall)
