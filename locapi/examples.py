"""Requests and answers to show, in the OpenAPI document and on the page that is made of it.

What is refused is told with the words of the rules themselves.
"""

import json
from typing import Any, NamedTuple

from locapi import schema
from locapi.errors import InvalidFix
from locapi.hints import A_FIX


class Example(NamedTuple):
    """A body, what it is an example of, and of an answer what was sent for it."""

    said: str
    value: dict[str, Any]
    sent: str = ""


_STORED = {"status": "stored", "fix_time": "2017-01-01T18:05:12.345Z", "tz": "America/New_York"}

FIXES = {
    "milliseconds": Example("A fix as a phone should send it", A_FIX),
    "seconds": Example(
        "Whole seconds, at the pole, at rest",
        A_FIX | {"timestamp": "2017-01-01 13:05:12", "lat": 90, "speed": 0},
    ),
}
RECEIPTS = {
    "stored": Example("The first copy", _STORED),
    "duplicate": Example("A later one", _STORED | {"status": "duplicate"}),
}
HEALTHY = {"ok": Example("The database answers", {"status": "ok"})}


def _error(said: str, code: str, message: str) -> dict[str, Example]:
    return {code: Example(said, {"error": {"code": code, "message": message}})}


UNAUTHORIZED = _error(
    "No valid token", "unauthorized", "send a valid token: `Authorization: Bearer locapi_…`"
)
FORBIDDEN = _error(
    "Another user's token", "forbidden", "this token may not send fixes of that user_id"
)
AWAY = _error("The database is away", "database_unavailable", "the database is away; try again")
OVERLOADED = _error(
    "More comes than can be taken", "overloaded", "too many fixes at once; try again"
)
INTERNAL = _error(
    "A bug, or a database that refuses", "internal_error", "the fault is on this side"
)


def _changed(**fields: Any) -> str:
    return json.dumps(A_FIX | fields)


def _renamed() -> str:
    return _changed(altitude=10).replace('"long"', '"lng"')


def _refused(said: str, sent: str) -> Example:
    try:
        schema.parse(sent.encode())
    except InvalidFix as error:
        told = {"code": "invalid_fix", "message": str(error), "fields": error.fields}
        return Example(said, {"error": told}, sent)
    raise ValueError(f"{said}: a fix after all")


REFUSALS = {
    "range": _refused("A number out of its range", _changed(lat=91)),
    "quotes": _refused("A number in quotes", _changed(lat="40.7128")),
    "ios_speed": _refused("What iOS says of a speed that it does not know", _changed(speed=-1)),
    "iso_time": _refused("A time of another form", _changed(timestamp="2017-01-01T18:05:12Z")),
    "names": _refused("A field by another name, and one too many", _renamed()),
    "nan": _refused("A number that is none", _changed(accuracy=float("nan"))),
    "array": _refused("Several fixes in one request", f"[{_changed()}, {_changed()}]"),
    "broken": _refused("Broken JSON", _changed().replace('"', "'")),
}
