"""How far the roll-up and the pruning have come, by the database's own clock.

Watermarks are times at which the database received fixes, as BSON Timestamps.
"""

from datetime import datetime, timedelta

from bson import Timestamp
from pymongo.database import Database

from locapi.mongo import WATERMARKS, Document

ROLLED_UP = "rollup"
PRUNED = "prune"

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
