"""Delete old raw fixes, each only once its minute is proven to count it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bson import Timestamp
from pymongo.database import Database

from locapi import keys, mongo, rollup, watermarks, windows
from locapi.mongo import ERASURES, FIXES, MINUTES, Document
from locapi.watermarks import HORIZON_TRUST_S
from locapi.windows import ALL, BEGINNING

_BATCH = 20_000


@dataclass(frozen=True)
class Pruned:
    """What a prune did: how many raw fixes it deleted, how many it kept, and why those."""

    deleted: int
    unproven: int  # old enough, but not in their minute
    newer: int  # all others, as the database estimates: received since, or held back by an erasure


def prune(
    database: Database[Document],
    older_than: timedelta,
    share: Sequence[int] = ALL,
    *,
    dry_run: bool = False,
    progress: Callable[[int], object] = lambda _: None,
) -> Pruned:
    """Fold what is not folded yet, then delete the raw fixes received before `older_than` ago.

    May be repeated, stopped at any moment, and run by any number of processes at
    once, for any shares of the slices. `progress` is called again and again with
    the number of fixes looked at since it was called last. A dry run changes nothing,
    and counts as unproven what is not folded yet.
    """
    with mongo.translated_errors():
        horizon = _horizon(database, older_than)
        if not dry_run:
            _announce(database, horizon, share, progress)
        horizon = _before_erasures(database, horizon)
        deleted = unproven = 0
        for proven, others in _judged(database, share, horizon, dry_run=dry_run):
            deleted += len(proven) if dry_run else _delete(database, proven, horizon)
            unproven += len(others)
            progress(len(proven) + len(others))
        if not dry_run:
            watermarks.finished(database, watermarks.PRUNED, deleted=deleted)
        left = database[FIXES].estimated_document_count()
    return Pruned(deleted, unproven, max(0, left - unproven - (deleted if dry_run else 0)))


def old_fixes(database: Database[Document], older_than: timedelta) -> int:
    """Return how many raw fixes were received before `older_than` ago."""
    with mongo.translated_errors():
        horizon = _horizon(database, older_than)
        # Those with a slice apart, for they are counted by the index alone.
        each = (dict.fromkeys(slices, BEGINNING) for slices in (ALL, [None]))
        return sum(database[FIXES].count_documents(windows.since(one, horizon)) for one in each)


def _horizon(database: Database[Document], older_than: timedelta) -> Timestamp:
    return watermarks.after(mongo.settled_time(database) - older_than)


def _announce(
    database: Database[Document],
    horizon: Timestamp,
    share: Sequence[int],
    progress: Callable[[int], object],
) -> None:
    """Let every API process know the horizon before anything is deleted, and fold meanwhile.

    A repeat of what is deleted is then a duplicate by its minute's `seen`.
    """
    watermarks.advance(database, watermarks.PRUNED, horizon)
    announced = time.monotonic()
    rollup.roll_up(database, share, lambda: progress(0))
    time.sleep(max(0.0, announced + 2 * HORIZON_TRUST_S - time.monotonic()))


def _before_erasures(database: Database[Document], horizon: Timestamp) -> Timestamp:
    # An erasure tells what came after it by the raw fixes that are there. It looks at the
    # announced horizon after it has noted itself, we here after we have announced ours: so
    # at least one of us sees the other.
    for erasure in database[ERASURES].find():
        horizon = min(horizon, erasure["received_at"])
    return horizon


def _judged(
    database: Database[Document], share: Sequence[int], horizon: Timestamp, *, dry_run: bool
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield, by batches, the keys of the old fixes that are in their minute, and of the others."""
    if not share:
        return
    starts = windows.starts(share, [BEGINNING] * len(ALL))
    for batch in windows.windows(database, starts, _BATCH, horizon):
        proven, others = _split(_prove(database, batch))
        if others and not dry_run:
            rollup.fold_fixes(database, others)
            found, others = _split(_prove(database, {"_id": {"$in": others}}))
            proven += found
        yield proven, others


def _prove(database: Database[Document], which: Document) -> list[Document]:
    """Return the keys of some fixes' minutes, and which of them those count, and which not."""
    stages = [
        {"$match": which},
        {"$group": {"_id": "$minute_id", "marks": {"$push": "$mark"}}},
        {"$lookup": {"from": MINUTES, "localField": "_id", "foreignField": "_id", "as": "minute"}},
        {"$set": {"seen": {"$ifNull": [{"$first": "$minute.seen"}, []]}}},
        {
            "$project": {
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
