"""Fold new fixes into minutes, each fix once however often it is folded.

A minute remembers in `seen` which fixes it counts. A fold that finds none of its
fixes there adds their sums; all of them, changes nothing; some of them, notes the
others as `missing`, and these are folded again by their own keys. Each is one
atomic update of one document, so crashes, repeats and rivals cost time only.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from bson import Timestamp
from pymongo.database import Database

from locapi import keys, mongo, watermarks, windows
from locapi.mongo import FIXES, MINUTES, Document
from locapi.windows import ALL, Slice

# A fix may become visible a little after the time it bears; reading again is harmless.
MARGIN = timedelta(seconds=10)
COMMENT = "locapi roll-up"  # by which the database knows these aggregations
_KEYS_AT_ONCE = 10_000
_WINDOW = 100_000  # fixes; what the database groups at once, in memory
_WINDOWS_AT_ONCE = 2  # each takes a core of the database
_AVERAGED = ("lat", "long", "accuracy", "speed")
_ADDED = (*(f"{name}_sum" for name in _AVERAGED), "west", "count")

Expression = dict[str, Any]


def roll_up(
    database: Database[Document],
    share: Sequence[int] = ALL,
    keep: Callable[[], object] = lambda: None,
) -> None:
    """Fold every fix of a share of the slices that finished before this call into its minute.

    May be repeated, interrupted and run by any number of processes at once, for
    any shares. `keep` is called again and again meanwhile, in this thread.
    """
    with mongo.translated_errors():
        while not _folded(database, share, keep):
            pass


def _folded(database: Database[Document], share: Sequence[int], keep: Callable[[], object]) -> bool:
    """Fold a share; tell whether one primary answered all the way, or it is to be done again.

    A new primary's reads may lack what the old one's, and so `settled`, knew to be safe.
    """
    start = time.monotonic()
    settled = mongo.settled(database)
    reading = mongo.reading_after(database, settled.after)
    _fold_windows(reading, _starts(share, watermarks.settle(database), settled.time), keep)
    _fold_missing(database)
    if mongo.settled(database).election != settled.election:
        return False
    seconds = time.monotonic() - start
    watermarks.roll_up(database, share, Timestamp(settled.time, 0), duration_s=seconds)
    return True


def due(database: Database[Document]) -> Timestamp:
    """Return the mark that every fix received before it must lie in its minute."""
    watermark = watermarks.read(database, watermarks.ROLLED_UP)
    return _before(watermark) if watermark else Timestamp(0, 0)


def _before(mark: Timestamp) -> Timestamp:
    return Timestamp(max(0, mark.time - int(MARGIN.total_seconds())), 0)


def _starts(
    share: Sequence[int], marks: Sequence[Timestamp], settled: datetime
) -> dict[Slice, Timestamp]:
    # `settled` is the smaller one when the database's clock was set back.
    latest = Timestamp(settled, 0)
    return windows.starts(share, [_before(min(mark, latest)) for mark in marks])


def _fold_windows(
    database: Database[Document],
    starts: Mapping[Slice, Timestamp],
    keep: Callable[[], object],
) -> None:
    if not starts:
        return
    with ThreadPoolExecutor(_WINDOWS_AT_ONCE) as threads:
        folds = threads.map(partial(_fold, database), _windows(database, starts, keep))
        try:
            for _ in folds:
                keep()
        finally:
            threads.shutdown(cancel_futures=True)


def _windows(
    database: Database[Document],
    starts: Mapping[Slice, Timestamp],
    keep: Callable[[], object] = lambda: None,
) -> Iterator[Document]:
    for window in windows.windows(database, starts, _WINDOW):
        keep()
        yield window


def fold_fixes(database: Database[Document], fix_ids: Sequence[str]) -> None:
    """Fold the raw fixes of these keys, whenever they were received; may be repeated."""
    _fold_keys(database, fix_ids)
    _fold_missing(database)


def fold_anew(database: Database[Document], fix_ids: Sequence[str]) -> list[Document]:
    """Return the minutes that the raw fixes of these keys make by themselves."""
    which = minutes_of({"_id": {"$in": fix_ids}})
    with database[FIXES].aggregate(which, allowDiskUse=True) as minutes:
        return list(minutes)


def _fold(database: Database[Document], which: Document) -> None:
    database[FIXES].aggregate(pipeline(which), allowDiskUse=True, comment=COMMENT)


def _fold_keys(database: Database[Document], fix_ids: Sequence[str]) -> None:
    for first in range(0, len(fix_ids), _KEYS_AT_ONCE):
        _fold(database, {"_id": {"$in": fix_ids[first : first + _KEYS_AT_ONCE]}})


def _fold_missing(database: Database[Document]) -> None:
    before: list[str] = []
    while (missing := list(_missing(database))) and missing != before:
        _fold_keys(database, missing)
        database[MINUTES].update_many({"missing": {"$exists": True}}, [_still_missing()])
        before = missing


def _still_missing() -> Document:
    left = {"$setDifference": ["$missing", "$seen"]}
    return {"$set": {"missing": {"$cond": [{"$eq": [left, []]}, "$$REMOVE", left]}}}


def _missing(database: Database[Document]) -> Iterator[str]:
    for minute in database[MINUTES].find({"missing": {"$exists": True}}, {"missing": 1}):
        yield from (keys.seen_fix_id(minute["_id"], mark) for mark in minute["missing"])


def pipeline(which: Document) -> list[Document]:
    """Return the aggregation over `fixes` that folds those that match `which` into `minutes`."""
    merge = {
        "into": MINUTES,
        "whenMatched": [{"$replaceWith": _either()}, {"$set": _averages()}],
        "whenNotMatched": "insert",
    }
    return [*minutes_of(which), {"$merge": merge}]


def minutes_of(which: Document) -> list[Document]:
    """Return the aggregation over `fixes` that makes whole minutes of those that match `which`."""
    return [{"$match": which}, {"$group": _group()}, {"$set": _named()}, {"$set": _averages()}]


def _group() -> Document:
    return {
        "_id": "$minute_id",
        **{f"{name}_sum": {"$sum": f"${name}"} for name in _AVERAGED},
        "long_min": {"$min": "$long"},
        "long_max": {"$max": "$long"},
        # How many lie west of Greenwich. $cond would cost an eighth of the whole grouping.
        "west": {"$sum": {"$toInt": {"$lt": ["$long", 0]}}},
        "seen": {"$push": "$mark"},
    }


def _named() -> Document:
    user_id, minute = ({"$arrayElemAt": [{"$split": ["$_id", "\t"]}, i]} for i in (0, 1))
    return {
        "user_id": user_id,
        # Without a format a zone is looked for in the string, which costs as much as the rest.
        "minute": {"$dateFromString": {"dateString": minute, "format": "%Y-%m-%dT%H:%M"}},
        "count": {"$size": "$seen"},
    }


def _averages() -> Document:
    return {
        "lat": {"$divide": ["$lat_sum", "$count"]},
        "long": _average_longitude(),
        "accuracy": {"$divide": [_finite("$accuracy_sum"), "$count"]},
        "speed": {"$divide": [_finite("$speed_sum"), "$count"]},
    }


def _finite(total: str) -> Expression:
    return {"$min": [total, sys.float_info.max]}  # accuracies near 1e308 m are valid fixes


def _average_longitude() -> Expression:
    # Fixes more than half the globe apart are nearer to each other across the antimeridian:
    # there those west of Greenwich are taken as east of it, from 180 to 360.
    spread = {"$subtract": ["$long_max", "$long_min"]}
    turned = {"$cond": [{"$gt": [spread, 180]}, {"$multiply": [360, "$west"]}, 0]}
    average: Expression = {"$divide": [{"$add": ["$long_sum", turned]}, "$count"]}
    back = {"$cond": [{"$gt": ["$$average", 180]}, 360, 0]}
    return {"$let": {"vars": {"average": average}, "in": {"$subtract": ["$$average", back]}}}


def _either() -> Expression:
    """Return what a minute becomes when `$$new`, a minute made of some fixes, meets it."""
    none_seen = {"$eq": [{"$setIntersection": ["$$new.seen", "$seen"]}, []]}
    return {"$cond": [none_seen, _both(), {"$mergeObjects": ["$$ROOT", {"missing": _missed()}]}]}


def _both() -> Expression:
    return {
        "_id": "$_id",
        "user_id": "$user_id",
        "minute": "$minute",
        **{name: {"$add": [f"${name}", f"$$new.{name}"]} for name in _ADDED},
        "long_min": {"$min": ["$long_min", "$$new.long_min"]},
        "long_max": {"$max": ["$long_max", "$$new.long_max"]},
        "seen": {"$concatArrays": ["$seen", "$$new.seen"]},
        "missing": "$missing",
    }


def _missed() -> Expression:
    unseen = {"$setDifference": ["$$new.seen", "$seen"]}
    more = {"$setUnion": [{"$ifNull": ["$missing", []]}, unseen]}
    return {"$cond": [{"$setIsSubset": ["$$new.seen", "$seen"]}, "$missing", more]}
