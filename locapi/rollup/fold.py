"""Fold new fixes into minutes, each fix once however often it is folded.

`aggregation` adds what is new to the minutes; here new fixes are found and split into windows.
Crashes, repeats and rivals affect speed, not correctness.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from typing import Any, cast

from bson import Timestamp
from pymongo.database import Database
from pymongo.errors import OperationFailure

from locapi.fixes import ids
from locapi.rollup import aggregation, quarantine, watermarks, windows
from locapi.rollup.aggregation import MAX_MINUTE_FIXES
from locapi.rollup.windows import ALL_SLICES, Starts
from locapi.storage import changes, driver_errors, read_points
from locapi.storage.documents import FIXES, MINUTES, Document, Minute

# A fix may become visible a little after it was received. Reading twice does no harm.
MARGIN = timedelta(seconds=10)
COMMENT = "locapi roll-up"  # by which an erasure finds the folds that are running
WINDOW_FIXES = 100_000  # what the database groups at once, in memory
MIN_WINDOW_FIXES = 10_000  # fewer are not worth a second window
IDS_AT_ONCE = 10_000
_WINDOWS_AT_ONCE = 2  # each keeps a core of the database busy

_NOTHING: Document = {"_id": {"$in": []}}
_MISSING: Document = {"missing": {"$exists": True}}

Renew = Callable[[], object]


def fold_new_fixes(
    database: Database[Document],
    slices: Sequence[int] = ALL_SLICES,
    renew: Renew = lambda: None,
    max_fixes: int = MAX_MINUTE_FIXES,
) -> int:
    """Fold every fix of some slices that was stored before this call into its minute.

    Returns how many were received since the last roll-up of their slice began, to the second.
    May be repeated, interrupted and run by any number of processes at once, for any slices.
    Calls `renew` again and again, in this thread. A minute that cannot be folded, or would count
    more than `max_fixes`, goes into quarantine; its fixes are not returned.
    """
    with driver_errors.translated():
        while (new := _fold_once(database, slices, renew, max_fixes)) is None:
            pass
        changes.forget_tombstones(database)
    return new


def _fold_once(
    database: Database[Document], slices: Sequence[int], renew: Renew, max_fixes: int
) -> int | None:
    """Fold the new fixes; return how many, or None if the primary changed meanwhile.

    Majority reads of a new primary may not see yet what those of the old one saw.
    """
    begun = time.monotonic()
    point = read_points.majority_read_point(database)
    reading = read_points.reading_after(database, point.after)
    reached = _not_after(watermarks.wait_for_majority(database), point.time)
    since = windows.starts(slices, reached)
    new = _count(reading, since)
    starts = windows.starts(slices, [_with_margin(time) for time in reached])
    # With few new fixes, most of their minutes exist already.
    some_exist = Event() if new > WINDOW_FIXES else None
    fold = partial(_fold, reading, max_fixes, some_exist=some_exist)
    _fold_windows(fold, _windows(reading, starts, new), renew)
    _fold_missing(database, max_fixes)
    if read_points.majority_read_point(database).election != point.election:
        return None
    seconds = time.monotonic() - begun
    watermarks.advance_rollup(database, slices, Timestamp(point.time, 0), duration_s=seconds)
    return max(0, new - quarantine.count(reading, windows.since(since))) if new else 0


def due(database: Database[Document]) -> Timestamp:
    """Return the time such that every fix received earlier is in its minute."""
    entry = watermarks.entry(database, watermarks.ROLLED_UP)
    return _with_margin(min(watermarks.rolled_up(entry)))


def _not_after(times: Sequence[Timestamp], latest: datetime) -> list[Timestamp]:
    """Return the times, those later than `latest` replaced by it: the clock was set back."""
    return [min(time, Timestamp(latest, 0)) for time in times]


def _with_margin(time: Timestamp) -> Timestamp:
    return Timestamp(max(0, time.time - int(MARGIN.total_seconds())), 0)


def _count(database: Database[Document], starts: Starts) -> int:
    return database[FIXES].count_documents(windows.since(starts)) if starts else 0


def _windows(database: Database[Document], starts: Starts, new: int) -> Iterable[Document]:
    size = min(WINDOW_FIXES, max(MIN_WINDOW_FIXES, new // _WINDOWS_AT_ONCE))
    # To search where windows end takes time, even if one is enough.
    if starts and new <= size:
        return [windows.since(starts)]
    return windows.windows(database, starts, size)


def _fold_windows(
    fold: Callable[[Document], object], which: Iterable[Document], renew: Renew
) -> None:
    def renewing() -> Iterator[Document]:
        for window in which:
            renew()
            yield window

    threads = ThreadPoolExecutor(_WINDOWS_AT_ONCE)
    waits = True
    try:
        for _ in threads.map(fold, renewing()):
            renew()
    except (KeyboardInterrupt, SystemExit):
        waits = False  # a fold in progress ends late, or never while the database has no majority
        raise
    finally:
        threads.shutdown(waits, cancel_futures=True)


def fold_fixes(
    database: Database[Document], fix_ids: Sequence[str], max_fixes: int = MAX_MINUTE_FIXES
) -> None:
    """Fold the raw fixes with these ids, whenever they were received; may be repeated."""
    _fold_ids(database, fix_ids, max_fixes)
    _fold_missing(database, max_fixes)


def make_minutes(
    database: Database[Document], fix_ids: Sequence[str], mark: datetime
) -> list[Minute]:
    """Return the minutes that the raw fixes with these ids make by themselves, with this mark.

    Give at most MAX_MINUTE_FIXES of a minute.
    """
    stages = aggregation.make_minutes({"_id": {"$in": fix_ids}}, mark, MAX_MINUTE_FIXES)
    with database[FIXES].aggregate(stages, allowDiskUse=True) as minutes:
        return cast("list[Minute]", list(minutes))


def _fold(
    database: Database[Document],
    max_fixes: int,
    which: Document,
    some_exist: Event | None = None,
) -> None:
    """Fold some fixes; put the minutes that cannot be folded into quarantine.

    With an event, only insert minutes until one exists already, and then set the event.
    """
    with changes.marked(database) as mark:
        which = quarantine.excluding(database, which)
        if some_exist and not some_exist.is_set():
            if _insert(database, mark, max_fixes, which):
                return
            some_exist.set()
        _merge(database, mark, max_fixes, which)


def _insert(database: Database[Document], mark: datetime, max_fixes: int, which: Document) -> bool:
    """Fold some fixes into new minutes; return whether that was possible for all of them."""
    first = database[FIXES].find_one(which, {"minute_id": 1})  # the likeliest to join a minute
    known = {"_id": {"$eq": (first or {}).get("minute_id")}}
    if database[MINUTES].find_one(known, {"_id": 1}):
        return False
    try:
        _aggregate(database, aggregation.insert(which, mark, max_fixes))
    except OperationFailure:  # whatever the reason, it shows when these fixes are merged
        return False
    return True


def _merge(database: Database[Document], mark: datetime, max_fixes: int, which: Document) -> None:
    def run(which: Document) -> None:
        _aggregate(database, aggregation.fold(which, mark, max_fixes))

    try:
        run(which)
    except OperationFailure as error:
        if not quarantine.is_caused_by_documents(error):
            raise
        run(_NOTHING)  # fails if it is not the documents' fault
        each = database[FIXES].aggregate([{"$match": which}, {"$group": {"_id": "$minute_id"}}])
        _fold_apart(database, run, max_fixes, which, [minute["_id"] for minute in each], error)


def _fold_apart(
    database: Database[Document],
    run: Callable[[Document], object],
    max_fixes: int,
    which: Document,
    minute_ids: list[Any],
    error: OperationFailure,
) -> None:
    """Fold fixes of which some minutes cannot be folded, in ever smaller parts."""
    if len(minute_ids) == 1:
        if fix := database[FIXES].find_one(_of_minutes(which, minute_ids)):
            quarantine.add(database, fix, error, max_fixes)
        return
    size = max(1, min(IDS_AT_ONCE, len(minute_ids) // 2))
    for first in range(0, len(minute_ids), size):
        part = minute_ids[first : first + size]
        try:
            run(_of_minutes(which, part))
        except OperationFailure as fault:
            if not quarantine.is_caused_by_documents(fault):
                raise
            _fold_apart(database, run, max_fixes, which, part, fault)


def _of_minutes(which: Document, minute_ids: list[Any]) -> Document:
    return {"$and": [which, {"minute_id": {"$in": minute_ids}}]}


def _aggregate(database: Database[Document], stages: list[Document]) -> None:
    database[FIXES].aggregate(stages, allowDiskUse=True, comment=COMMENT)


def _fold_ids(database: Database[Document], fix_ids: Sequence[str], max_fixes: int) -> None:
    for first in range(0, len(fix_ids), IDS_AT_ONCE):
        _fold(database, max_fixes, {"_id": {"$in": fix_ids[first : first + IDS_AT_ONCE]}})


def _fold_missing(database: Database[Document], max_fixes: int) -> None:
    before: list[Document] = []
    while (minutes := _missing_fixes(database)) and minutes != before:
        fix_ids = [
            fix_id
            for minute in minutes
            for code in minute["missing"]
            for fix_id in ids.seen_fix_ids(minute["_id"], code)
        ]
        _fold_ids(database, fix_ids, max_fixes)
        folded = {"_id": ids.among([minute["_id"] for minute in minutes])}
        database[MINUTES].update_many({**_MISSING, **folded}, [_still_missing()])
        before = minutes


def _missing_fixes(database: Database[Document]) -> list[Document]:
    """Return the minutes that are missing fixes, without those in quarantine."""
    found = list(database[MINUTES].find(_MISSING, {"missing": 1}))
    apart = quarantine.minute_ids(database) if found else []
    return [minute for minute in found if minute["_id"] not in apart]


def _still_missing() -> Document:
    left = {"$setDifference": ["$missing", "$seen"]}
    return {"$set": {"missing": {"$cond": [{"$eq": [left, []]}, "$$REMOVE", left]}}}
