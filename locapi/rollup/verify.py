"""Compare minutes with what their raw fixes prove, and repair those that are wrong."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from math import isclose
from operator import itemgetter
from typing import Any, cast

from bson import Timestamp
from pymongo.database import Database

from locapi.fixes import averages, ids
from locapi.rollup import fold, quarantine, watermarks
from locapi.rollup.aggregation import MAX_MINUTE_FIXES
from locapi.storage import changes, driver_errors
from locapi.storage.collections import BY_USER_AND_TIME
from locapi.storage.documents import (
    Document,
    Minute,
    Quarantined,
    RawFix,
    minutes,
    raw_fixes,
)
from locapi.text import quantity

_TOLERANCE: dict[str, Any] = {"rel_tol": 1e-9, "abs_tol": 1e-9}
PAGE_MINUTES = 1_000
PAGE_FIXES = 20_000
MAX_READ = MAX_MINUTE_FIXES + 1  # raw fixes of one minute
_FIELDS = ("user_id", "fix_time", "minute_id", "seen_code", "received_at", *averages.AVERAGED)
_LOOKS = 3  # reads of a minute that seems wrong, as a roll-up may change it meanwhile


@dataclass(frozen=True)
class Drift:
    """A minute that differs from what it should be."""

    minute_id: str
    fault: str
    repaired: bool


@dataclass
class Report:
    """What was checked so far; a minute is proven if every fix it counts is still stored."""

    fixes: int = 0
    minutes: int = 0
    proven: int = 0
    quarantined: int = 0
    drifts: int = 0
    repaired: int = 0


@dataclass(frozen=True)
class _Bounds:
    due: Timestamp  # a fix received earlier must be folded
    horizon: Timestamp | None  # a fix received earlier may be pruned

    def complete(self, minute_id: str) -> bool:
        """Return whether all fixes of a minute must still be stored."""
        return not watermarks.may_be_pruned(ids.parse_minute_id(minute_id)[1], self.horizon)

    def are_first(self, minute_id: str, fixes: list[RawFix]) -> bool:
        """Return whether raw fixes of a minute are surely those that it counts.

        Where fixes may be pruned, one received after the horizon can be a repeat that was stored
        after its first copy was deleted.
        """
        return self.complete(minute_id) or all(
            self.horizon is not None and fix["received_at"] < self.horizon for fix in fixes
        )


def verify(
    database: Database[Document], report: Report, *, repair: bool = False
) -> Iterator[Drift]:
    """Yield every minute that drifted, in the order of ids, and count in `report`.

    Minutes in quarantine come first; with `repair`, those that can be folded leave it. Memory
    does not grow with the data. Safe beside everything but an erasure, which leaves minutes
    without their fixes while it runs.
    """
    with driver_errors.translated():
        horizon = watermarks.read(database, watermarks.PRUNED)
        bounds = _Bounds(fold.due(database), horizon)
        apart = list(quarantine.entries(database))
        yield from _in_quarantine(database, apart, report, repair=repair)
        for minute_id, minute, fixes in _side_by_side(
            database, [entry["minute_id"] for entry in apart]
        ):
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
    database: Database[Document], without: list[Any]
) -> Iterator[tuple[str, Minute | None, list[RawFix]]]:
    """Yield each minute with its raw fixes, MAX_READ of them at most; either may be missing."""
    folded = ((minute["_id"], minute) for minute in _all_minutes(database, without))
    raw = ((fix["minute_id"], fix) for fix in _all_fixes(database, without))
    rows: Iterator[tuple[str, Any]] = heapq.merge(folded, raw, key=itemgetter(0))
    for minute_id, group in groupby(rows, itemgetter(0)):
        first, *rest = (document for _, document in islice(group, MAX_READ + 1))
        if first["_id"] == minute_id:
            yield minute_id, first, rest
        else:
            yield minute_id, None, [first, *rest]


# Read both by pages, because MongoDB closes a cursor that is idle for ten minutes.
def _all_minutes(database: Database[Document], without: list[Any]) -> Iterator[Minute]:
    others: Document = {"$nin": without} if without else {}
    which: Document = {"_id": others} if others else {}
    while page := list(minutes(database).find(which).sort("_id", 1).limit(PAGE_MINUTES)):
        yield from page
        which = {"_id": {"$gt": page[-1]["_id"], **others}}


def _all_fixes(database: Database[Document], without: list[Any]) -> Iterator[RawFix]:
    which: Document = {"minute_id": {"$nin": without}} if without else {}
    found = raw_fixes(database).find(which, _FIELDS).hint(BY_USER_AND_TIME)
    page = list(found.sort(BY_USER_AND_TIME).limit(PAGE_FIXES))
    known: set[str] = set()
    while new := [fix for fix in page if fix["_id"] not in known]:
        yield from new
        last = _position(new[-1])
        # Fixes of one instant may be on two pages.
        known = {fix["_id"] for fix in page if _position(fix) == last}
        found = raw_fixes(database).find(which, _FIELDS).hint(BY_USER_AND_TIME).min(last)
        page = list(found.sort(BY_USER_AND_TIME).limit(PAGE_FIXES))


def _position(fix: RawFix) -> list[tuple[str, Any]]:
    return [(name, cast(Document, fix).get(name)) for name, _ in BY_USER_AND_TIME]


def _in_quarantine(
    database: Database[Document], apart: list[Quarantined], report: Report, *, repair: bool
) -> Iterator[Drift]:
    for entry in apart:
        repaired = repair and _fold_again(database, entry)
        report.quarantined += 1
        report.repaired += repaired
        yield Drift(entry["_id"], f"is in quarantine: {entry['reason']}", repaired)


def _fold_again(database: Database[Document], entry: Quarantined) -> bool:
    """Fold a minute in quarantine; return whether that was possible."""
    quarantine.release(database, entry)
    of_minute = {"user_id": entry["user_id"], "minute_id": entry["minute_id"]}
    found = (fix["_id"] for fix in raw_fixes(database).find(of_minute, {"_id": 1}))
    while not quarantine.is_in(database, entry) and (page := list(islice(found, fold.IDS_AT_ONCE))):
        fold.fold_fixes(database, page)
    return not quarantine.is_in(database, entry)


def _look_again(database: Database[Document], minute_id: str, due: Timestamp) -> str | None:
    for _ in range(_LOOKS):
        minute, fixes = _read(database, minute_id)
        # Read the horizon last: then a minute after it was still complete when it was read.
        horizon = watermarks.read(database, watermarks.PRUNED)
        fault = _fault(minute_id, minute, fixes, _Bounds(due, horizon))
        if fault is None:
            break
    return fault


def _read(database: Database[Document], minute_id: str) -> tuple[Minute | None, list[RawFix]]:
    # Read the fixes after the minute: then all that it counts are found unless they were pruned.
    minute = minutes(database).find_one({"_id": minute_id})
    fixes = raw_fixes(database).find(ids.of_minute(minute_id), _FIELDS, hint=BY_USER_AND_TIME)
    return minute, list(fixes.limit(MAX_READ))


def _fault(
    minute_id: str, minute: Minute | None, fixes: list[RawFix], bounds: _Bounds
) -> str | None:
    """Return what is wrong with a minute according to its raw fixes, or None."""
    due = {fix["seen_code"] for fix in fixes if fix["received_at"] < bounds.due}
    if len(fixes) >= MAX_READ:
        return "has too many raw fixes, but is not in quarantine" if due else None
    if minute is None:
        return f"is missing, but has {quantity(len(due), 'raw fix')}" if due else None
    seen = set(minute["seen"])
    if not len(seen) == len(minute["seen"]) == minute["count"]:
        return f"has the count {minute['count']}, but {len(seen)} different seen codes"
    if due - seen:
        return f"does not count {len(due - seen)} of its fixes"
    counted = [fix for fix in fixes if fix["seen_code"] in seen]
    if len(counted) == len(seen) and bounds.are_first(minute_id, counted):
        state = averages.state(counted)
        return _wrong_value(minute, {**state, **averages.average(state)})
    if bounds.complete(minute_id):
        return f"counts fixes that are not stored: {len(seen) - len(counted)}"
    return _wrong_value(minute, averages.average(minute))


def _wrong_value(minute: Minute, expected: Mapping[str, Any]) -> str | None:
    found = cast(Document, minute)
    for name, value in expected.items():
        if not _is_close(name, found[name], value):
            return f"has {name} {found[name]!r}; it should be {value!r}"
    return None


def _is_close(name: str, found: float | None, value: float | None) -> bool:
    if found is None or value is None or found == value:
        return found == value
    off = found - value
    if name == "long":  # 180 and -180 are one meridian
        off = (off + 180) % 360 - 180
    return isclose(value + off, value, **_TOLERANCE)


def _repair(database: Database[Document], minute_id: str, due: Timestamp) -> bool:
    """Make a minute what its raw fixes prove; return whether it is right now."""
    with changes.marked(database) as mark:
        _remake(database, minute_id, due, mark)
    return _look_again(database, minute_id, due) is None


def _remake(database: Database[Document], minute_id: str, due: Timestamp, mark: datetime) -> None:
    minute, fixes = _read(database, minute_id)
    fix_ids = [fix["_id"] for fix in fixes]
    is_too_large = len(fixes) == MAX_READ
    made = [] if is_too_large else fold.make_minutes(database, fix_ids, mark)
    remade = next(iter(made), None)
    # The horizon last: a minute later than it was complete when it was remade.
    bounds = _Bounds(due, watermarks.read(database, watermarks.PRUNED))
    covered = _covers(remade, minute) and bounds.are_first(minute_id, fixes)
    if minute is None or is_too_large or not (bounds.complete(minute_id) or covered):
        fold.fold_fixes(database, fix_ids)
    else:
        # Only if nothing was folded into it meanwhile.
        unchanged = {"_id": minute_id, "seen": minute["seen"]}
        if remade:
            minutes(database).replace_one(unchanged, remade)
        else:
            changes.bury(database, ids.user_of(minute_id), mark)
            minutes(database).delete_one(unchanged)


def _covers(remade: Minute | None, minute: Minute | None) -> bool:
    return remade is not None and minute is not None and set(remade["seen"]) >= set(minute["seen"])
