"""Check the documents of a dump before they are stored, and recompute their derived fields.

A dump may be damaged without a trace, or written by hand. What is stored from it must not break
the roll-up, the API or a command.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import groupby, islice
from operator import itemgetter
from types import UnionType
from typing import IO, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from locapi.backup import file_format
from locapi.errors import InvalidFix, UnreadableFile
from locapi.fixes import averages, ids, validation
from locapi.storage.documents import (
    FIXES,
    MINUTES,
    QUARANTINE,
    TOKENS,
    WATERMARKS,
    Document,
    Minute,
    PruneWatermark,
    Quarantined,
    RawFix,
    Token,
)

Batch = list[Document]

_BATCH = 2_000
_SHA256_BYTES = 32
_OFFSET_STEP_S = 30
_DAY = timedelta(days=1)


class _WrongField(Exception):
    """The field of this name is missing or has an impossible value."""


def batches(
    file: IO[bytes], progress: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[str, Batch]]:
    """Yield a dump's documents, checked, in batches, each of one collection.

    `progress` is called with the number of bytes read since its last call.
    """
    file.seek(0)
    position = 0
    for name, group in groupby(file_format.read(file), itemgetter(0)):
        documents = (checked(name, document) for _, document in group)
        while batch := list(islice(documents, _BATCH)):
            yield name, batch
            progress(file.tell() - position)
            position = file.tell()


def checked(name: str, document: Document) -> Document:
    """Return a document of the collection `name` as it has to be stored.

    Ids, slice, minute and seen code of a fix, and the averages of a minute, are computed again.
    Raises UnreadableFile if the document cannot be right.
    """
    if name not in _CHECKS:
        raise UnreadableFile(f"it has a collection {name!r}, which locapi does not know.")
    kind, check = _CHECKS[name]
    try:
        _check_types(document, kind)
        return check(document)
    except _WrongField as error:
        key = " ".join(str(document.get("_id")).split("\t"))
        raise UnreadableFile(
            f"the document {key!r} of {name} has a wrong or missing {error}. Nothing of this file "
            "is stored. Correct or delete the document in its database, and make a new dump."
        ) from error


def _check_types(document: Document, kind: Any) -> None:
    for field, wanted in _HINTS[kind].items():
        if field not in document:
            if field in kind.__required_keys__:
                raise _WrongField(field)
        elif not _has_type(document[field], wanted):
            raise _WrongField(field)


def _has_type(value: Any, wanted: Any) -> bool:
    if wanted is Any:
        return True
    if get_origin(wanted) in (Union, UnionType):
        return any(_has_type(value, each) for each in get_args(wanted))
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    if get_origin(wanted) is list:
        return isinstance(value, list) and all(_has_type(each, *get_args(wanted)) for each in value)
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float if wanted is float else wanted)


def _require(field: str, holds: object) -> None:
    if not holds:
        raise _WrongField(field)


def _fix(document: Document) -> Document:
    known = {name: document[name] for name in averages.AVERAGED if document[name] is not None}
    numbers = {name: float(value) for name, value in known.items()}
    sent = {"user_id": document["user_id"], "timestamp": document["local_time"], **numbers}
    _require("speed", numbers.get("speed", 0) >= 0)
    try:
        fix = validation.judge_with_unknowns(sent)
    except InvalidFix as error:
        field = next(iter(error.fields))
        raise _WrongField("local_time" if field == "timestamp" else field) from error
    _require("local_time", validation.is_in_range(fix.wall))
    offset, time = document["utc_offset"], document["fix_time"]
    _require("utc_offset", offset % _OFFSET_STEP_S == 0 and abs(offset) < _DAY.total_seconds())
    _require("fix_time", fix.wall - timedelta(seconds=offset) == time)
    with_offset = ids.fix_id(fix.user_id, fix.wall, offset)
    plain = ids.fix_id(fix.user_id, fix.wall)
    return {
        **{name: value for name, value in document.items() if not name.endswith("_unknown")},
        "_id": with_offset if document["_id"] == with_offset else plain,
        "slice": ids.slice_of(fix.user_id),
        "minute_id": ids.minute_id(fix.user_id, time),
        "seen_code": ids.seen_code(time, offset),
        **averages.markers(fix.accuracy, fix.speed),
    }


def _minute(document: Document) -> Document:
    _require("_id", ids.is_minute_id(document["_id"]))
    user_id, start = ids.parse_minute_id(document["_id"])
    _check_user(user_id)
    _require("_id", validation.is_in_range(start))
    seen = document["seen"]
    _require("seen", all(abs(ids.seen_utc_offset(code)) < _DAY.total_seconds() for code in seen))
    _require("count", 0 < document["count"] == len(seen) == len(set(seen)))
    state = cast(averages.State, document)
    _require("sum", all(document[name] == document[name] for name in averages.STATE))  # NaN
    average = averages.average(state)
    for name, bound in (("lat", 90), ("long", 180)):
        _require(f"{name}_sum", abs(average[name] or 0) <= bound)
    return {**document, "user_id": user_id, "minute": start.replace(tzinfo=None), **average}


def _token(document: Document) -> Document:
    if document["user_id"] or document.get("reads") != "all":  # which belongs to no user
        _check_user(document["user_id"])
    _require("secret_sha256", len(document["secret_sha256"]) == _SHA256_BYTES)
    return document


def _quarantined(document: Document) -> Document:
    _require("_id", document["_id"] == str(document["minute_id"]))
    return document


def _check_user(user_id: str) -> None:
    _require("user_id", not validation.user_id_faults(user_id))


_CHECKS: dict[str, tuple[Any, Callable[[Document], Document]]] = {
    FIXES: (RawFix, _fix),
    MINUTES: (Minute, _minute),
    TOKENS: (Token, _token),
    WATERMARKS: (PruneWatermark, lambda watermark: watermark),
    QUARANTINE: (Quarantined, _quarantined),
}
_HINTS = {kind: get_type_hints(kind) for kind, _ in _CHECKS.values()}
