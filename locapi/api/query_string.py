"""Parse the parameters of a request for minutes, and report faults as for a fix."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from werkzeug.datastructures import MultiDict

from locapi import times
from locapi.errors import InvalidRequest
from locapi.exporters.changes import Token, parse_token
from locapi.exporters.formats import FORMATS
from locapi.fixes import validation


class Query(NamedTuple):
    """Which minutes are asked for, and how they are to be written."""

    user_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    resolution: timedelta = times.MINUTE
    format: str | None = None
    changed_since: Token | None = None


def _parse_user_id(text: str) -> str:
    if faults := validation.user_id_faults(text):
        raise ValueError("; ".join(faults))
    return text


def _parse_format(text: str) -> str:
    if text not in FORMATS:
        raise ValueError(f"{text!r} is not a format. Write {', '.join(FORMATS)}.")
    return text


_PARSERS: dict[str, Callable[[str], Any]] = {
    "user_id": _parse_user_id,
    "since": times.parse_time,
    "until": times.parse_time,
    "resolution": times.parse_resolution,
    "format": _parse_format,
    "changed_since": parse_token,
}
OF_MINUTES = tuple(_PARSERS)
OF_MAP = ("user_id", "since", "until")


def parse(arguments: MultiDict[str, str], allowed: Collection[str]) -> Query:
    """Return the query; raises InvalidRequest with what is wrong with each parameter."""
    found: dict[str, Any] = {}
    faults: dict[str, list[str]] = {}
    for name, texts in arguments.lists():
        if name not in allowed:
            faults[name] = [f"is not a parameter. The parameters are {', '.join(allowed)}."]
        elif len(texts) > 1:
            faults[name] = ["is given more than once."]
        else:
            try:
                found[name] = _PARSERS[name](texts[0])
            except ValueError as error:
                faults[name] = [str(error)]
    if faults:
        raise invalid(faults)
    return Query(**found)


def invalid(faults: dict[str, list[str]]) -> InvalidRequest:
    """Return the error for faults by parameter."""
    message = "; ".join(f"{name}: {fault}" for name, each in faults.items() for fault in each)
    return InvalidRequest(message, faults)
