"""Compare minutes with what the raw fixes still there prove, and mend what they prove wrong."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import fsum, inf, isclose
from operator import itemgetter
from sys import float_info
from typing import Any

from bson import Timestamp
from pymongo.database import Database

from locapi import keys, mongo, rollup, watermarks
from locapi.layout import BY_USER_AND_TIME
from locapi.mongo import FIXES, MINUTES, Document

_AVERAGED = ("lat", "long", "accuracy", "speed")
_WITHIN: dict[str, Any] = {"rel_tol": 1e-9, "abs_tol": 1e-9}
_LOOKS = 3  # at what seems wrong: a roll-up or a prune may be at work between two reads


@dataclass(frozen=True)
class Drift:
    """A minute that is not what it should be, and whether it was mended."""

    minute_id: str
    fault: str
    repaired: bool


@dataclass
class Report:
    """What was checked so far; a minute is proven when every fix it counts is still there."""

    fixes: int = 0
    minutes: int = 0
    proven: int = 0
    drifts: int = 0
    repaired: int = 0


@dataclass(frozen=True)
class _Bounds:
    due: Timestamp  # what was received before it must be folded
    horizon: Timestamp | None  # what was received before it may be pruned

    def complete(self, minute_id: str) -> bool:
        """Tell whether all fixes of a minute must still be there."""
        return not watermarks.may_be_pruned(keys.parse_minute_id(minute_id)[1], self.horizon)

    def are_first(self, minute_id: str, fixes: list[Document]) -> bool:
        """Tell whether raw fixes of a minute are surely those that it counts.

        Where fixes may be pruned, one received since the horizon can be a repeat that
        slipped in after its first copy was gone.
        """
        return self.complete(minute_id) or all(
            self.horizon is not None and fix["received_at"] < self.horizon for fix in fixes
        )


def verify(
    database: Database[Document], report: Report, *, repair: bool = False
) -> Iterator[Drift]:
    """Yield every minute that drifted, in the order of their keys; count in `report` on the way.

    Memory does not grow with the data. May run beside anything but an erasure,
    which leaves minutes without their fixes for as long as it takes.
    """
    with mongo.translated_errors():
        horizon = watermarks.read(database, watermarks.PRUNED)
        bounds = _Bounds(rollup.due(database), horizon)
        for minute_id, minute, fixes in _side_by_side(database):
            report.fixes += len(fixes)
            report.minutes += minute is not None
            fault = _fault(minute_id, minute, fixes, bounds)
            if fault is not None:
                fault = _look_again(database, minute_id, bounds.due)
            if fault is not None:
                repaired = repair and _repair(database, minute_id, bounds.due)
                report.drifts += 1
                report.repaired += repaired
                yield Drift(minute_id, fault, repaired)
            elif minute is not None:
                report.proven += len(fixes) >= minute["count"]


def _side_by_side(
    database: Database[Document],
) -> Iterator[tuple[str, Document | None, list[Document]]]:
    """Yield each minute with its raw fixes; either may be lacking."""
    minutes = ((minute["_id"], minute) for minute in database[MINUTES].find().sort("_id", 1))
    raw = database[FIXES].find().sort([("user_id", 1), ("fix_time", 1)])
    fixes = ((fix["minute_id"], fix) for fix in raw)
    for minute_id, rows in groupby(heapq.merge(minutes, fixes, key=itemgetter(0)), itemgetter(0)):
        first, *rest = (document for _, document in rows)
        if first["_id"] == minute_id:
            yield minute_id, first, rest
        else:
            yield minute_id, None, [first, *rest]


def _look_again(database: Database[Document], minute_id: str, due: Timestamp) -> str | None:
    for _ in range(_LOOKS):
        minute, fixes = _read(database, minute_id)
        # The horizon last: what it lies before was whole when it was read.
        horizon = watermarks.read(database, watermarks.PRUNED)
        fault = _fault(minute_id, minute, fixes, _Bounds(due, horizon))
        if fault is None:
            break
    return fault


def _read(database: Database[Document], minute_id: str) -> tuple[Document | None, list[Document]]:
    # The fixes after the minute: so those that it counts are found, unless they were pruned.
    minute = database[MINUTES].find_one({"_id": minute_id})
    fixes = database[FIXES].find(keys.of_minute(minute_id), hint=BY_USER_AND_TIME)
    return minute, list(fixes)


def _fault(
    minute_id: str, minute: Document | None, fixes: list[Document], bounds: _Bounds
) -> str | None:
    """Return what is wrong with a minute as its raw fixes show it, or None."""
    due = {fix["mark"] for fix in fixes if fix["received_at"] < bounds.due}
    if minute is None:
        return f"has no minute for its {len(due)} fixes" if due else None
    seen = set(minute["seen"])
    if not len(seen) == len(minute["seen"]) == minute["count"]:
        return f"counts {minute['count']} fixes and remembers {len(seen)}"
    if due - seen:
        return f"does not count {len(due - seen)} of its fixes"
    counted = [fix for fix in fixes if fix["mark"] in seen]
    if len(counted) == len(seen) and bounds.are_first(minute_id, counted):
        return _wrong_value(minute, _state(counted))
    if bounds.complete(minute_id):
        return f"counts {len(seen) - len(counted)} fixes that are not there"
    return _wrong_value(minute, {})


def _wrong_value(minute: Document, state: Document) -> str | None:
    for name, expected in {**state, **_averages({**minute, **state})}.items():
        off = minute[name] - expected
        if name == "long":  # 180 and -180 are one meridian
            off = (off + 180) % 360 - 180
        if not (minute[name] == expected or isclose(expected + off, expected, **_WITHIN)):
            return f"has {name} {minute[name]!r}; it should be {expected!r}"
    return None


def _state(fixes: list[Document]) -> Document:
    """Return what a minute of these fixes keeps, apart from `seen`."""
    longs = [fix["long"] for fix in fixes]
    return {
        **{f"{name}_sum": _sum([fix[name] for fix in fixes]) for name in _AVERAGED},
        "long_min": min(longs),
        "long_max": max(longs),
        "west": sum(long < 0 for long in longs),
        "count": len(fixes),
    }


def _averages(state: Document) -> dict[str, float]:
    averages = {
        name: min(state[f"{name}_sum"], float_info.max) / state["count"] for name in _AVERAGED
    }
    if state["long_max"] - state["long_min"] > 180:
        across = (state["long_sum"] + 360 * state["west"]) / state["count"]
        averages["long"] = across - 360 if across > 180 else across
    return averages


def _sum(values: list[float]) -> float:
    try:
        return fsum(values)
    except OverflowError:
        return inf


def _repair(database: Database[Document], minute_id: str, due: Timestamp) -> bool:
    """Mend a minute as far as its raw fixes prove what it should be; tell whether it is right."""
    minute, fixes = _read(database, minute_id)
    fix_ids = [fix["_id"] for fix in fixes]
    anew = next(iter(rollup.fold_anew(database, fix_ids)), None)
    # The horizon last: what it lies before was whole when it was made anew.
    bounds = _Bounds(due, watermarks.read(database, watermarks.PRUNED))
    covered = _covers(anew, minute) and bounds.are_first(minute_id, fixes)
    if minute is None or not (bounds.complete(minute_id) or covered):
        rollup.fold_fixes(database, fix_ids)
    else:
        # Only if nothing was folded into it meanwhile.
        unchanged = {"_id": minute_id, "seen": minute["seen"]}
        if anew:
            database[MINUTES].replace_one(unchanged, anew)
        else:
            database[MINUTES].delete_one(unchanged)
    return _look_again(database, minute_id, due) is None


def _covers(anew: Document | None, minute: Document | None) -> bool:
    return anew is not None and minute is not None and set(anew["seen"]) >= set(minute["seen"])
