"""Delete old raw fixes, each only once its minute is proven to count it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from bson import Timestamp
from pymongo.database import Database

from locapi import keys, mongo, rollup, watermarks
from locapi.mongo import ERASURES, FIXES, MINUTES, Document
from locapi.watermarks import HORIZON_TRUST_S

_BATCH = 20_000


@dataclass(frozen=True)
class Pruned:
    """What a prune did: how many raw fixes it deleted, how many it kept, and why those."""

    deleted: int
    unproven: int  # old enough, but not in their minute
    newer: int  # received since, or held back by an erasure that is not finished


def prune(
    database: Database[Document],
    older_than: timedelta,
    *,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Pruned:
    """Fold what is not folded yet, then delete the raw fixes received before `older_than` ago.

    May be repeated, stopped at any moment, and run by any number of processes at
    once. `progress` is called with the number of fixes looked at since it was
    called last. A dry run changes nothing, and counts as unproven what is not folded yet.
    """
    with mongo.translated_errors():
        horizon = _horizon(database, older_than)
        if not dry_run:
            _announce(database, horizon)
        horizon = _before_erasures(database, horizon)
        deleted = unproven = 0
        for proven, others in _judged(database, horizon, dry_run=dry_run):
            deleted += len(proven) if dry_run else _delete(database, proven, horizon)
            unproven += len(others)
            progress(len(proven) + len(others))
        if not dry_run:
            watermarks.finished(database, watermarks.PRUNED, deleted=deleted)
        newer = database[FIXES].count_documents({"received_at": {"$gte": horizon}})
    return Pruned(deleted, unproven, newer)


def old_fixes(database: Database[Document], older_than: timedelta) -> int:
    """Return how many raw fixes were received before `older_than` ago."""
    with mongo.translated_errors():
        old = {"received_at": {"$lt": _horizon(database, older_than)}}
        return database[FIXES].count_documents(old)


def _horizon(database: Database[Document], older_than: timedelta) -> Timestamp:
    return watermarks.after(mongo.settled_time(database) - older_than)


def _announce(database: Database[Document], horizon: Timestamp) -> None:
    """Let every API process know the horizon before anything is deleted, and fold meanwhile.

    A repeat of what is deleted is then a duplicate by its minute's `seen`.
    """
    watermarks.advance(database, watermarks.PRUNED, horizon)
    announced = time.monotonic()
    rollup.roll_up(database)
    time.sleep(max(0.0, announced + 2 * HORIZON_TRUST_S - time.monotonic()))


def _before_erasures(database: Database[Document], horizon: Timestamp) -> Timestamp:
    # An erasure tells what came after it by the raw fixes that are there. It looks at the
    # announced horizon after it has noted itself, we here after we have announced ours: so
    # at least one of us sees the other.
    for erasure in database[ERASURES].find():
        horizon = min(horizon, erasure["received_at"])
    return horizon


def _judged(
    database: Database[Document], horizon: Timestamp, *, dry_run: bool
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield, by batches, the keys of the old fixes that are in their minute, and of the others."""
    last = Timestamp(0, 0)
    while groups := _prove(database, _batch(last, horizon)):
        last = max(group["last"] for group in groups)
        proven, others = _split(groups)
        if others and not dry_run:
            rollup.fold_fixes(database, others)
            found, others = _split(_prove(database, [{"$match": {"_id": {"$in": others}}}]))
            proven += found
        yield proven, others


def _batch(last: Timestamp, horizon: Timestamp) -> list[Document]:
    return [
        {"$match": {"received_at": {"$gt": last, "$lt": horizon}}},
        {"$sort": {"received_at": 1}},
        {"$limit": _BATCH},
    ]


def _prove(database: Database[Document], which: list[Document]) -> list[Document]:
    """Return the fixes' marks by minute, and those of them that the minute counts."""
    stages = [
        *which,
        {
            "$group": {
                "_id": "$minute_id",
                "marks": {"$push": "$mark"},
                "last": {"$max": "$received_at"},
            }
        },
        {"$lookup": {"from": MINUTES, "localField": "_id", "foreignField": "_id", "as": "minute"}},
        {"$set": {"seen": {"$ifNull": [{"$first": "$minute.seen"}, []]}}},
        {
            "$project": {
                "last": 1,
                "proven": {"$setIntersection": ["$marks", "$seen"]},
                "others": {"$setDifference": ["$marks", "$seen"]},
            }
        },
    ]
    with database[FIXES].aggregate(stages, allowDiskUse=True) as groups:
        return list(groups)


def _split(groups: list[Document]) -> tuple[list[str], list[str]]:
    proven, others = (
        [keys.seen_fix_id(group["_id"], mark) for group in groups for mark in group[name]]
        for name in ("proven", "others")
    )
    return proven, others


def _delete(database: Database[Document], fix_ids: list[str], horizon: Timestamp) -> int:
    # The time once more: a key whose fix a rival has just deleted may bear a new fix by now.
    old = {"_id": {"$in": fix_ids}, "received_at": {"$lt": horizon}}
    # Without a hint the index on that time may be taken, and gone through for each batch.
    return database[FIXES].delete_many(old, hint="_id_").deleted_count
