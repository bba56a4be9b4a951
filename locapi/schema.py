"""Bytes to a valid fix, or why not: strict JSON first, then the rules, which Cerberus holds."""

import json
import math
import re
import threading
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NoReturn

from cerberus import TypeDefinition, Validator

from locapi.errors import InvalidFix

MAX_BODY_BYTES = 8 * 1024

_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} (?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
)


@dataclass(frozen=True, slots=True)
class Fix:
    """One valid fix as sent: degrees, metres, metres a second, and the device's wall time."""

    user_id: str
    local_time: str
    wall: datetime  # `local_time` as a naive value, cut to milliseconds
    lat: float
    long: float
    accuracy: float
    speed: float


def _wall(text: str) -> datetime:
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError
    wall = datetime.fromisoformat(text)
    return wall.replace(microsecond=wall.microsecond // 1000 * 1000)


def _is_timestamp(field: str, value: str, error: Any) -> None:
    try:
        _wall(value)
    except ValueError:
        error(
            field, "must be a date and time such as 2017-01-01 13:05:12 or 2017-01-01 13:05:12.345"
        )


def _is_finite(field: str, value: float, error: Any) -> None:
    try:
        finite = math.isfinite(value)
    except OverflowError:  # an integer beyond the largest double
        finite = False
    if not finite:
        error(field, "must be a finite number")


def _is_user_id(field: str, value: str, error: Any) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        error(field, "must have no control character and no lone surrogate")


class _FixValidator(Validator):  # type: ignore[misc]
    types_mapping: ClassVar = {
        # Cerberus' own "number" is Python's, for which True is one.
        "number": TypeDefinition("number", (int, float), (bool,)),
        "string": TypeDefinition("string", (str,), ()),
    }

    def _validate_nullable(self, nullable: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""  # noqa: D400, D415 - Cerberus reads the rule's schema here
        super()._validate_nullable(nullable, field, value)
        if value is None:
            self._drop_remaining_rules("check_with")


def _number(**bounds: float) -> dict[str, Any]:
    return {"type": "number", "check_with": _is_finite, "required": True, **bounds}


RULES: dict[str, dict[str, Any]] = {
    "timestamp": {"type": "string", "check_with": _is_timestamp, "required": True},
    "lat": _number(min=-90, max=90),
    "long": _number(min=-180, max=180),
    "accuracy": _number(min=0),
    "speed": _number(min=0),
    "user_id": {
        "type": "string",
        "check_with": _is_user_id,
        "required": True,
        "minlength": 1,
        "maxlength": 128,
    },
}


class _Validators(threading.local):
    """One validator a thread, because a validator keeps the document it is at."""

    def __init__(self) -> None:
        self.mine = _FixValidator(RULES)


_validators = _Validators()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) < len(pairs):
        raise ValueError("a key is given twice")
    return body


# Made once: `json.loads` with arguments makes a new decoder each time.
_decoder = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_unique_keys)


def _decode(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY_BYTES:
        raise InvalidFix(f"the body has more than {MAX_BODY_BYTES} bytes")
    try:
        document = _decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidFix("the body is not UTF-8") from error
    except ValueError as error:
        raise InvalidFix(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidFix("the body is nested too deep") from error
    if not isinstance(document, dict):
        raise InvalidFix("the body is not a JSON object")
    return document


def parse(body: bytes) -> Fix:
    """Return the fix in a request's body, or raise InvalidFix with what is wrong with it."""
    document = _decode(body)
    validator = _validators.mine
    if not validator.validate(document, normalize=False):
        raise InvalidFix("the fix breaks the rules", validator.errors)
    return Fix(
        user_id=document["user_id"],
        local_time=document["timestamp"],
        wall=_wall(document["timestamp"]),
        lat=float(document["lat"]),
        long=float(document["long"]),
        accuracy=float(document["accuracy"]),
        speed=float(document["speed"]),
    )
