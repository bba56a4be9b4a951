"""What the database holds, and how long fixes have waited there for the roll-up."""

from collections.abc import Sequence
from datetime import datetime

import pymongo
from bson import Timestamp
from pymongo.database import Database

from locapi import mongo, watermarks, windows
from locapi.metrics import Stored
from locapi.mongo import FIXES, MINUTES, Document

DEADLINE_S = 2


def read(database: Database[Document], now: datetime | None = None) -> Stored:
    """Return what is stored, in five small commands; raises DatabaseUnavailable after two seconds.

    The roll-up's lag is the age of the oldest fix that the last complete one of its
    slice did not reach, by the database's clock (or `now`) and to the second: a roll-up
    that ran just now, and a night without a fix, are no lag.
    """
    with mongo.translated_errors(), pymongo.timeout(DEADLINE_S):
        rolled_up = watermarks.entry(database, watermarks.ROLLED_UP)
        oldest = _oldest(database, watermarks.by_slice(rolled_up))
        now = now or clock(database)
        lag = 0.0 if oldest is None else (now - oldest.as_datetime()).total_seconds()
        return Stored(
            raw_fixes=database[FIXES].estimated_document_count(),
            minutes=database[MINUTES].estimated_document_count(),
            rollup_lag_s=max(0.0, lag),
            rollup_duration_s=rolled_up.get("duration_s"),
        )


def _oldest(database: Database[Document], marks: Sequence[Timestamp]) -> Timestamp | None:
    found = database[FIXES].find_one(
        windows.since(windows.starts(windows.ALL, marks)),
        {"_id": 0, "received_at": 1},
        sort=[("received_at", 1)],
    )
    return None if found is None else found["received_at"]


def clock(database: Database[Document]) -> datetime:
    """Return the database's time."""
    time: datetime = database.command("hello", codec_options=database.codec_options)["localTime"]
    return time
