"""Delete old raw fixes, each only once its minute is proven to count it.

A prune announces its horizon first, and deletes only when every API process knows it: from then
on a repeat of what is deleted is recognized by its minute's `seen`. Fold between the two, so
that the wait is used and few fixes are left to be folded one by one.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bson import Timestamp
from pymongo.database import Database

from locapi.rollup import fold, quarantine, watermarks, windows
from locapi.rollup.windows import ALL_SLICES, BEGINNING
from locapi.storage import driver_errors, read_points
from locapi.storage.documents import ERASURES, FIXES, MINUTES, Document

BATCH_FIXES = 20_000

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Horizon:
    """The time before which raw fixes were received that a prune may delete."""

    received_at: Timestamp
    announced_at: float  # on this process's monotonic clock


@dataclass(frozen=True)
class Pruned:
    """How many raw fixes a prune deleted, and how many it kept."""

    deleted: int
    unproven: int  # old enough, but not counted by their minute
    newer: int  # all others, estimated by the database; those that an erasure needs too
    quarantined: int = 0  # old enough, but their minute is in quarantine


def prune(
    database: Database[Document], older_than: timedelta, slices: Sequence[int] = ALL_SLICES
) -> Pruned:
    """Fold new fixes, and delete the raw fixes of some slices received before `older_than` ago."""
    horizon = announce(database, older_than)
    fold.fold_new_fixes(database, slices)
    return delete_old(database, horizon, slices)


def announce(database: Database[Document], older_than: timedelta) -> Horizon:
    """Let every API process know that fixes received before `older_than` ago will be deleted."""
    with driver_errors.translated():
        received_at = _horizon(database, older_than)
        watermarks.advance(database, watermarks.PRUNED, received_at)
    return Horizon(received_at, time.monotonic())


def delete_old(
    database: Database[Document],
    horizon: Horizon,
    slices: Sequence[int] = ALL_SLICES,
    progress: Progress = lambda _: None,
) -> Pruned:
    """Delete the raw fixes of some slices that were received before an announced horizon.

    Folds what is not folded yet. May be repeated, stopped at any moment, and run by any number
    of processes at once, for any slices. Calls `progress` again and again with the number of
    fixes looked at since the last call.
    """
    time.sleep(max(0.0, horizon.announced_at + 2 * watermarks.HORIZON_TRUST_S - time.monotonic()))
    deleted = unproven = 0
    with driver_errors.translated():
        before = _before_erasures(database, horizon.received_at)
        for proven, others in _judged(database, slices, before):
            if others:
                fold.fold_fixes(database, others)
                found, others = _split(_prove(database, {"_id": {"$in": others}}))
                proven += found
            deleted += _delete(database, proven, before)
            unproven += len(others)
            progress(len(proven) + len(others))
        watermarks.finished(database, watermarks.PRUNED, deleted=deleted)
        return _pruned(database, slices, before, deleted, unproven)


def preview(
    database: Database[Document], older_than: timedelta, progress: Progress = lambda _: None
) -> Pruned:
    """Return what a prune would do, without a change; what is not folded yet is unproven."""
    proven = unproven = 0
    with driver_errors.translated():
        horizon = _before_erasures(database, _horizon(database, older_than))
        for found, others in _judged(database, ALL_SLICES, horizon):
            proven += len(found)
            unproven += len(others)
            progress(len(found) + len(others))
        done = _pruned(database, ALL_SLICES, horizon, proven, unproven)
    return replace(done, newer=max(0, done.newer - proven))


def _pruned(
    database: Database[Document],
    slices: Sequence[int],
    horizon: Timestamp,
    deleted: int,
    unproven: int,
) -> Pruned:
    old = windows.since(dict.fromkeys(slices, BEGINNING), horizon)
    quarantined = quarantine.count(database, old) if slices else 0
    left = database[FIXES].estimated_document_count()
    return Pruned(deleted, unproven, max(0, left - unproven - quarantined), quarantined)


def count_old(database: Database[Document], older_than: timedelta) -> int:
    """Return how many raw fixes were received before `older_than` ago."""
    with driver_errors.translated():
        old = windows.received(end=_horizon(database, older_than))
        return database[FIXES].count_documents(old)


def _horizon(database: Database[Document], older_than: timedelta) -> Timestamp:
    return watermarks.after(read_points.majority_read_time(database) - older_than)


def _before_erasures(database: Database[Document], horizon: Timestamp) -> Timestamp:
    """Return the horizon, or when the first erasure that is under way began.

    An erasure recognizes fixes received after it began by the raw fixes, so they must stay. It
    records itself before it reads the announced horizon, and a prune announces before it reads
    the erasures: so at least one of the two knows of the other.
    """
    begun: list[Timestamp] = [erasure["received_at"] for erasure in database[ERASURES].find()]
    return min([horizon, *begun])


def _judged(
    database: Database[Document], slices: Sequence[int], horizon: Timestamp
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield, batch by batch, the ids of the old fixes that their minutes count, and the others.

    Those of minutes in quarantine are left out: only they prove what such a minute should be.
    """
    starts = dict.fromkeys(slices, BEGINNING)
    for batch in windows.windows(database, starts, BATCH_FIXES, horizon):
        yield _split(_prove(database, batch))


def _prove(database: Database[Document], which: Document) -> list[Document]:
    """Return some fixes' ids and seen codes by minute, and which of the codes it counts."""
    stages = [
        {"$match": quarantine.excluding(database, which)},
        {
            "$group": {
                "_id": "$minute_id",
                "ids": {"$push": "$_id"},
                "codes": {"$push": "$seen_code"},
            }
        },
        {"$lookup": {"from": MINUTES, "localField": "_id", "foreignField": "_id", "as": "minute"}},
        {"$set": {"seen": {"$ifNull": [{"$first": "$minute.seen"}, []]}}},
        {
            "$project": {
                "ids": 1,
                "codes": 1,
                "counted": {"$setIntersection": ["$codes", "$seen"]},
            }
        },
    ]
    with database[FIXES].aggregate(stages, allowDiskUse=True) as minutes:
        return list(minutes)


def _split(minutes: list[Document]) -> tuple[list[str], list[str]]:
    """Return the ids of the fixes that their minutes count, and of the others."""
    proven: list[str] = []
    others: list[str] = []
    for minute in minutes:
        counted = set(minute["counted"])
        for fix_id, code in zip(minute["ids"], minute["codes"], strict=True):
            (proven if code in counted else others).append(fix_id)
    return proven, others


def _delete(database: Database[Document], fix_ids: list[str], horizon: Timestamp) -> int:
    # The time again: if another prune has just deleted a fix, its id may belong to a new one.
    old = {"_id": {"$in": fix_ids}, "received_at": {"$lt": horizon}}
    # Without a hint, mongod may walk the index on that time for each batch.
    return database[FIXES].delete_many(old, hint="_id_").deleted_count
