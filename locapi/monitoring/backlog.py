"""Measure how much the database stores and how long fixes have waited for the roll-up."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import pymongo
from bson import Timestamp
from pymongo.database import Database

from locapi.rollup import watermarks, windows
from locapi.storage import driver_errors
from locapi.storage.documents import FIXES, MINUTES, QUARANTINE, Document

DEADLINE_S = 2


class Stored(NamedTuple):
    """How much the database stores, and how far its roll-up is."""

    raw_fixes: int
    minutes: int
    rollup_lag_s: float
    rollup_duration_s: float | None  # None if none has ever finished
    quarantined_minutes: int


def read(database: Database[Document], now: datetime | None = None) -> Stored:
    """Return what is stored, by six fast commands.

    The roll-up's lag is the age of the oldest fix that is not rolled up yet, in whole seconds by
    the database's clock (or `now`); 0 if there is none. Raises DatabaseUnavailable after
    DEADLINE_S.
    """
    with driver_errors.translated(), pymongo.timeout(DEADLINE_S):
        rolled_up = watermarks.entry(database, watermarks.ROLLED_UP)
        oldest = _oldest_waiting(database, watermarks.rolled_up(rolled_up))
        now = now or clock(database)
        lag = 0.0 if oldest is None else (now - oldest.as_datetime()).total_seconds()
        return Stored(
            raw_fixes=database[FIXES].estimated_document_count(),
            minutes=database[MINUTES].estimated_document_count(),
            rollup_lag_s=max(0.0, lag),
            rollup_duration_s=rolled_up.get("duration_s"),
            quarantined_minutes=database[QUARANTINE].estimated_document_count(),
        )


def _oldest_waiting(
    database: Database[Document], rolled_up_to: Sequence[Timestamp]
) -> Timestamp | None:
    found = database[FIXES].find_one(
        windows.since(windows.starts(windows.ALL_SLICES, rolled_up_to)),
        {"_id": 0, "received_at": 1},
        sort=[("received_at", 1)],
    )
    return None if found is None else found["received_at"]


def clock(database: Database[Document]) -> datetime:
    """Return the time of the database's clock."""
    time: datetime = database.command("hello", codec_options=database.codec_options)["localTime"]
    return time
