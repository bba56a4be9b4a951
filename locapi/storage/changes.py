"""Mark what changes, so that a reader can ask for everything that changed since it last read.

A mark is a time by the database's clock that no other change has, and that never goes back. It
is open until the change is on disk. A token says up to which mark its bearer has read, and which
marks were open then. docs/adr/0016-change-marks.md argues why no change is missed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from locapi.storage.documents import MINUTES, TOMBSTONES, WATERMARKS, Document

CHANGES = "changes"
# A crash leaves a mark open, so readers get a few minutes again. No change of minutes takes nearly
# as long; one that does marks its minutes again.
MAX_OPEN = timedelta(days=1)
TOMBSTONE_AGE = timedelta(days=30)

_ENTRY = {"_id": CHANGES}


@contextmanager
def marked(database: Database[Document]) -> Iterator[datetime]:
    """Yield the mark that each minute and tombstone that the block changes must carry.

    If the block raises, the mark stays open, because the database may still be at work.
    """
    mark = _open(database)
    yield mark
    if not _close(database, mark):
        with marked(database) as later:
            for name in (MINUTES, TOMBSTONES):
                database[name].update_many({"changed_at": mark}, {"$set": {"changed_at": later}})


def _open(database: Database[Document]) -> datetime:
    entry = database[WATERMARKS].find_one_and_update(
        _ENTRY, _opening(), upsert=True, return_document=ReturnDocument.AFTER
    )
    mark: datetime = (entry or {})["last"]
    return mark


def _opening() -> list[dict[str, Any]]:
    # Later than every earlier mark even if the clock was set back.
    last = {"$max": ["$$NOW", {"$add": ["$last", 1]}]}
    recent = {
        "$filter": {
            "input": {"$ifNull": ["$open", []]},
            "cond": {"$gt": ["$$this", {"$subtract": ["$$NOW", _ms(MAX_OPEN)]}]},
        }
    }
    return [
        {"$set": {"lineage": {"$ifNull": ["$lineage", ObjectId()]}, "last": last}},
        {"$set": {"open": {"$concatArrays": [recent, ["$last"]]}}},
    ]


def _close(database: Database[Document], mark: datetime) -> bool:
    """Close a mark; return whether it was still open."""
    closed = database[WATERMARKS].update_one({**_ENTRY, "open": mark}, {"$pull": {"open": mark}})
    return bool(closed.matched_count)


def bury(database: Database[Document], user_id: str, mark: datetime) -> None:
    """Record a tombstone: readers drop all rows of the user, and take those that there are now."""
    database[TOMBSTONES].update_one({"_id": user_id}, {"$max": {"changed_at": mark}}, upsert=True)


def forget_tombstones(database: Database[Document]) -> None:
    """Delete the tombstones that are older than `TOMBSTONE_AGE`, and with them older tokens."""
    old = {"$expr": {"$lt": ["$changed_at", {"$subtract": ["$$NOW", _ms(TOMBSTONE_AGE)]}]}}
    buried = [each["changed_at"] for each in database[TOMBSTONES].find(old)]
    if buried:
        # First, so that a reader that would miss a tombstone gets an error.
        database[WATERMARKS].update_one(_ENTRY, {"$max": {"forgotten": max(buried)}})
        database[TOMBSTONES].delete_many({"changed_at": {"$lte": max(buried)}})


def _ms(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)
