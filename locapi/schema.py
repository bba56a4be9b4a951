"""Bytes to a valid fix, or why not: strict JSON first, then the rules.

Most documents keep the rules, and that is found by each field's check alone. One that does not
goes to Cerberus, which calls the same checks, to be told all that is wrong with it.
"""

import re
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from cerberus import Validator
from cerberus.errors import BasicErrorHandler, ValidationError

from locapi import hints, strict_json
from locapi.errors import InvalidFix

MAX_BODY_BYTES = 8 * 1024
LARGEST = sys.float_info.max
CONTROL = r"\x00-\x1f\x7f-\x9f"
TIMESTAMP = (
    "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r" (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
)

_MAX_FIELDS = 20  # Cerberus takes time by the square of the faults it finds
_MAX_TOLD = 3  # faults that the message tells itself, before it points to the fields
_UNPRINTABLE = re.compile(rf"[{CONTROL}\ud800-\udfff]")
_TIMESTAMP = re.compile(TIMESTAMP)


class Fix(NamedTuple):
    """One valid fix as sent: degrees, metres, metres a second, and the device's wall time."""

    user_id: str
    local_time: str
    wall: datetime  # `local_time` as a naive value, cut to milliseconds
    lat: float
    long: float
    accuracy: float
    speed: float
    fix_time: datetime | None = None  # UTC, where the source tells it; a request never does


def _wall(text: str) -> datetime:
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError
    wall = datetime.fromisoformat(text)
    return wall.replace(microsecond=wall.microsecond // 1000 * 1000)


def _local_time_fault(name: str, value: Any, _: bool) -> str | None:
    try:
        _wall(value)
    except (TypeError, ValueError):
        return hints.told(_WANTED[name], value, hints.local_time(value))
    return None


def _number_fault(name: str, value: Any, bounds: dict[str, float]) -> str | None:
    least, most = bounds["min"], bounds["max"]
    # Every JSON number is decoded to a float. Comparing refuses what is not finite.
    if type(value) is float and least <= value <= most:
        return None
    return hints.told(_WANTED[name], value, hints.number(name, value, least, most))


def _text_fault(name: str, value: Any, lengths: dict[str, int]) -> str | None:
    if not isinstance(value, str) or not lengths["min"] <= len(value) <= lengths["max"]:
        return hints.told(_WANTED[name], value, hints.text(value))
    if found := _UNPRINTABLE.search(value):
        fault = "must have no control character and no lone surrogate"
        return hints.told(fault, value, hints.bad_sign(found))
    return None


class _Faults(BasicErrorHandler):  # type: ignore[misc]
    """Cerberus's messages, without the deep copies it makes of values, however deep these are."""

    def add(self, error: ValidationError) -> None:
        """Take one fault of a flat document."""
        self._insert_error(error.document_path, self._format_message(error.field, error))


class _FixValidator(Validator):  # type: ignore[misc]
    """Cerberus with one rule a field, its type included: a rule costs more to find than to check.

    A method's docstring is the schema by which Cerberus checks the rule's own argument.
    """

    mandatory_validations = ()
    priority_validations = ()

    def _validate_local_time(self, rule: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""  # noqa: D400, D415
        self._tell(field, _local_time_fault(field, value, rule))

    def _validate_number(self, bounds: dict[str, float], field: str, value: Any) -> None:
        """{'type': 'dict'}"""  # noqa: D400, D415
        self._tell(field, _number_fault(field, value, bounds))

    def _validate_text(self, lengths: dict[str, int], field: str, value: Any) -> None:
        """{'type': 'dict'}"""  # noqa: D400, D415
        self._tell(field, _text_fault(field, value, lengths))

    def _tell(self, field: str, fault: str | None) -> None:
        if fault is not None:
            self._error(field, fault)


def _number(least: float, most: float, example: float) -> dict[str, Any]:
    return {"number": {"min": least, "max": most, "example": example}}


RULES: dict[str, dict[str, Any]] = {
    "timestamp": {"local_time": True},
    "lat": _number(-90, 90, 40.7128),
    "long": _number(-180, 180, -74.006),
    "accuracy": _number(0, LARGEST, 5),
    "speed": _number(0, LARGEST, 1.4),
    "user_id": {"text": {"min": 1, "max": 128}},
}


def _wanted(rule: dict[str, Any]) -> str:
    if "number" in rule:
        least, most, example = rule["number"].values()
        span = f"{least} or more" if most == LARGEST else f"from {least} to {most}"
        return f"must be a number {span}, such as {example}"
    if "text" in rule:
        least, most = rule["text"].values()
        return f"must be a string of {least} to {most} characters, such as {hints.A_FIX['user_id']}"
    return f"must be a local date and time such as {hints.A_FIX['timestamp']}"


_WANTED = {name: _wanted(rule) for name, rule in RULES.items()}


_FAULT: dict[str, Callable[[str, Any, Any], str | None]] = {
    "local_time": _local_time_fault,
    "number": _number_fault,
    "text": _text_fault,
}
_CHECKS = [
    (name, _FAULT[kind], bounds) for name, rule in RULES.items() for kind, bounds in rule.items()
]


def user_id_faults(user_id: str) -> list[str]:
    """Return what is wrong with a user's name, by the rule that a fix must keep too."""
    fault = _text_fault("user_id", user_id, RULES["user_id"]["text"])
    return [] if fault is None else [fault]


class _Validators(threading.local):
    """One validator a thread, because a validator keeps the document it is at."""

    def __init__(self) -> None:
        self.mine = _FixValidator(RULES, require_all=True, error_handler=_Faults)


_validators = _Validators()


def parse(body: bytes) -> Fix:
    """Return the fix in a request's body, or raise InvalidFix with what is wrong with it."""
    return judge(decode(body))


def decode(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a request's body, or raise InvalidFix."""
    if len(body) > MAX_BODY_BYTES:
        raise InvalidFix(
            f"the body has more than {MAX_BODY_BYTES} bytes"
            " (a fix takes less than 1,000: send one fix a request)"
        )
    return strict_json.decode(body)


def judge(document: dict[str, Any]) -> Fix:
    """Return the fix that a decoded object is, or raise InvalidFix with what is wrong with it."""
    if len(document) > _MAX_FIELDS:
        raise InvalidFix(
            f"the body has {len(document)} fields, where a fix has {len(RULES)}"
            f" (send {', '.join(RULES)})"
        )
    if not _keeps_rules(document):
        validator = _validators.mine
        validator.validate(document, normalize=False)
        raise broken(_faults(document, validator.errors))
    return Fix(
        user_id=document["user_id"],
        local_time=document["timestamp"],
        wall=_wall(document["timestamp"]),
        lat=document["lat"],
        long=document["long"],
        accuracy=document["accuracy"],
        speed=document["speed"],
    )


def _keeps_rules(document: dict[str, Any]) -> bool:
    """Tell whether Cerberus would find no fault, in a tenth of the time it takes itself."""
    return document.keys() == RULES.keys() and all(
        check(name, document[name], bounds) is None for name, check, bounds in _CHECKS
    )


def broken(faults: dict[str, list[str]]) -> InvalidFix:
    """Return the error that tells the faults of each field, and the first ones in its message."""
    told = [f"{hints.escaped(name)}: {fault}" for name, (fault, *_) in faults.items()]
    if more := told[_MAX_TOLD:]:
        told[_MAX_TOLD:] = [f"and {len(more)} more in fields"]
    return InvalidFix("; ".join(told), faults)


def _faults(document: dict[str, Any], found: dict[str, list[str]]) -> dict[str, list[str]]:
    names = [*RULES]
    return {
        _told(name): [f"unknown field ({hints.unknown(name, document, names)})"]
        if name not in RULES
        else faults
        if name in document
        else [f"required field ({_WANTED[name]})"]
        for name, faults in found.items()
    }


def _told(name: str) -> str:
    """Return a field's name as an answer can bear it: short, and text that can be encoded."""
    short = hints.head(name)
    short += "…" * (short != name)
    return short.encode("utf-8", "backslashreplace").decode("utf-8")
