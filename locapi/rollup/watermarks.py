"""Read and advance the watermarks of roll-ups, prunes and erasures.

A watermark is a time by the database's clock: the work is done for all fixes received before it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bson import Timestamp
from pymongo import ReturnDocument
from pymongo.database import Database

from locapi.fixes.ids import SLICES
from locapi.storage.documents import WATERMARKS, Document

ROLLED_UP = "rollup"
PRUNED = "prune"
ERASED = "erase"

NEVER = Timestamp(0, 1)  # not Timestamp(0, 0), in place of which mongod may put its own time
BY_SERVER = Timestamp(0, 0)  # on insert, mongod puts its own time here
HORIZON_TRUST_S = 1.0  # for how long a process relies on the horizon that it has read
MAX_AHEAD = timedelta(days=1)  # how far a fix may lie ahead of the clock of its API host
_CLOCK_SKEW = timedelta(hours=1)  # between that clock and the database's


def after(time: datetime) -> Timestamp:
    """Return the first whole second after `time`: all that was received up to `time` is earlier."""
    return Timestamp(max(0, int(time.timestamp())) + 1, 0)


def entry(database: Database[Document], name: str) -> Document:
    """Return a watermark's document; empty if there is none."""
    return database[WATERMARKS].find_one({"_id": name}) or {}


def read(database: Database[Document], name: str) -> Timestamp | None:
    """Return the watermark of the pruning or the erasures, or None if there is none."""
    return entry(database, name).get("received_at")


def advance(database: Database[Document], name: str, received_at: Timestamp) -> None:
    """Set the watermark of the pruning or the erasures, unless it is as late already."""
    database[WATERMARKS].update_one(
        {"_id": name}, {"$max": {"received_at": received_at}}, upsert=True
    )


def finished(database: Database[Document], name: str, **notes: float) -> None:
    """Record beside a watermark that its work ended now, as `finished_at`, and further notes."""
    database[WATERMARKS].update_one(
        {"_id": name}, {"$currentDate": {"finished_at": True}, "$set": notes}
    )


def rolled_up(entry: Document) -> list[Timestamp]:
    """Return up to when each slice is rolled up, from the document of ROLLED_UP."""
    slices: list[Timestamp] = entry.get("slices") or [NEVER] * SLICES
    return slices


def wait_for_majority(database: Database[Document]) -> list[Timestamp]:
    """Return up to when each slice is rolled up, once a majority has all earlier writes.

    A majority write that changes nothing: after it, the primary's majority reads see all
    that was written before.
    """
    entry = database[WATERMARKS].find_one_and_update(
        {"_id": ROLLED_UP},
        [{"$set": _rolled_up_to([], NEVER)}],
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return rolled_up(entry or {})


def advance_rollup(
    database: Database[Document], slices: Sequence[int], received_at: Timestamp, **notes: float
) -> None:
    """Record up to when some slices are rolled up, and further notes."""
    update = [{"$set": {**_rolled_up_to(slices, received_at), **notes}}]
    database[WATERMARKS].update_one({"_id": ROLLED_UP}, update, upsert=True)


def _rolled_up_to(slices: Sequence[int], received_at: Timestamp) -> Document:
    before = {"$ifNull": [{"$arrayElemAt": ["$slices", "$$this"]}, NEVER]}
    each = {"$cond": [{"$in": ["$$this", list(slices)]}, received_at, before]}
    return {"slices": {"$map": {"input": {"$range": [0, SLICES]}, "in": each}}}


def may_be_pruned(fix_time: datetime, horizon: Timestamp | None) -> bool:
    """Return whether a fix of that time can have been pruned: if it was received before `horizon`.

    A fix is received at most `MAX_AHEAD` before its own time, so a later one cannot.
    """
    return horizon is not None and fix_time < horizon.as_datetime() + MAX_AHEAD + _CLOCK_SKEW
