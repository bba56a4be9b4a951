"""How far the roll-up and the pruning have come, by the database's own clock.

Watermarks are times at which the database received fixes, as BSON Timestamps.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bson import Timestamp
from pymongo import ReturnDocument
from pymongo.database import Database

from locapi.keys import SLICES
from locapi.mongo import WATERMARKS, Document

ROLLED_UP = "rollup"
PRUNED = "prune"
NEVER = Timestamp(0, 1)  # not 0, in place of which mongod may put its own time
ERASED = "erase"  # when the last erasure began, whoever the user was

BY_SERVER = Timestamp(0, 0)  # on insert, mongod puts its own time where it finds this
HORIZON_TRUST_S = 1.0  # how long a process goes by what it read of the pruning's horizon
MAX_AHEAD = timedelta(days=1)  # how far a fix may lie ahead of the clock of who takes it
_CLOCK_SKEW = timedelta(hours=1)  # between that clock and the database's


def after(time: datetime) -> Timestamp:
    """Return a mark that everything received up to `time` lies before; it is whole seconds."""
    return Timestamp(max(0, int(time.timestamp())) + 1, 0)


def read(database: Database[Document], name: str) -> Timestamp | None:
    """Return a watermark, or None where there never was one."""
    return entry(database, name).get("received_at")


def entry(database: Database[Document], name: str) -> Document:
    """Return a watermark as `received_at`, and what is noted beside it; empty where none is."""
    return database[WATERMARKS].find_one({"_id": name}) or {}


def write(database: Database[Document], name: str, received_at: Timestamp, **notes: float) -> None:
    """Set a watermark, and note something beside it, on disk when this returns."""
    database[WATERMARKS].update_one(
        {"_id": name}, {"$set": {"received_at": received_at, **notes}}, upsert=True
    )


def by_slice(entry: Document) -> list[Timestamp]:
    """Return up to when each slice was rolled up, as the roll-up's watermark says."""
    # One that was written before there were slices says it for all.
    return entry.get("slices") or [entry.get("received_at", NEVER)] * SLICES


def settle(database: Database[Document]) -> list[Timestamp]:
    """Return up to when each slice was rolled up, once a majority has all that was written before.

    Such a write does nothing but wait; after it the primary's majority reads see all that.
    """
    entry = database[WATERMARKS].find_one_and_update(
        {"_id": ROLLED_UP}, _rolled_up([], NEVER), upsert=True, return_document=ReturnDocument.AFTER
    )
    return by_slice(entry or {})


def roll_up(
    database: Database[Document], share: Sequence[int], received_at: Timestamp, **notes: float
) -> None:
    """Note up to when the slices of a share were rolled up, and something beside it."""
    update = [*_rolled_up(share, received_at), {"$set": notes}]
    database[WATERMARKS].update_one({"_id": ROLLED_UP}, update, upsert=True)


def _rolled_up(share: Sequence[int], received_at: Timestamp) -> list[Document]:
    before = [{"$arrayElemAt": ["$slices", "$$this"]}, "$received_at", NEVER]
    each = {"$cond": [{"$in": ["$$this", list(share)]}, received_at, {"$ifNull": before}]}
    slices = {"$map": {"input": {"$range": [0, SLICES]}, "in": each}}
    # The least of them is what all of them reached, also to those who know of no slices.
    return [{"$set": {"slices": slices}}, {"$set": {"received_at": {"$min": "$slices"}}}]


def finished(database: Database[Document], name: str, **notes: float) -> None:
    """Note beside a watermark that its work came to an end now, as `finished_at`, and how."""
    database[WATERMARKS].update_one(
        {"_id": name}, {"$currentDate": {"finished_at": True}, "$set": notes}
    )


def advance(database: Database[Document], name: str, received_at: Timestamp) -> None:
    """Set a watermark unless it is there or further already, on disk when this returns."""
    database[WATERMARKS].update_one(
        {"_id": name}, {"$max": {"received_at": received_at}}, upsert=True
    )


def may_be_pruned(fix_time: datetime, horizon: Timestamp | None) -> bool:
    """Tell whether a fix of that time can have been pruned, if all received before `horizon` was.

    A fix is received at most `MAX_AHEAD` before its own time, so a later one cannot.
    """
    return horizon is not None and fix_time < horizon.as_datetime() + MAX_AHEAD + _CLOCK_SKEW
