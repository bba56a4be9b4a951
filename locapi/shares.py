"""Which roll-ups watch a database, and which slices of the raw fixes fall to each.

Each holds a lease in one document, renewed while it works and by the database's own
clock. Who is dead or slow is passed over once its lease has run out; should it work on
all the same, two fold the same slices, which costs time and never truth.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pymongo
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from locapi import mongo
from locapi.errors import LocapiError
from locapi.keys import SLICES
from locapi.mongo import WATERMARKS, Document

LEASE_S = 30.0
_RENEWALS = 10  # in the time of a lease
_FAREWELL_S = 2
_WATCHERS = {"_id": "watchers"}


class Watcher:
    """One of the roll-ups that watch a database."""

    def __init__(self, database: Database[Document], lease_s: float = LEASE_S) -> None:
        self.renew_s = lease_s / _RENEWALS
        self._id = ObjectId()
        self._lease_ms = int(lease_s * 1000)
        self._leases = database[WATERMARKS]
        self._renewed_at = -math.inf

    def share(self) -> range:
        """Renew the lease, and return the slices that fall to this one of those that live."""
        living = sorted(lease["id"] for lease in self._renew())
        rank, count = living.index(self._id), len(living)
        return range(SLICES * rank // count, SLICES * (rank + 1) // count)

    def keep(self) -> None:
        """Renew the lease if that is due; to be called often by whoever works for long."""
        if time.monotonic() - self._renewed_at >= self.renew_s:
            self._renew()

    def leave(self) -> None:
        """Let the others take over at once; may fail, for they do so later anyway."""
        with suppress(LocapiError), mongo.translated_errors(), pymongo.timeout(_FAREWELL_S):
            self._leases.update_one(_WATCHERS, {"$pull": {"leases": {"id": self._id}}})

    def _renew(self) -> list[Document]:
        with mongo.translated_errors():
            watchers = self._leases.find_one_and_update(
                _WATCHERS,
                [{"$set": {"leases": {"$concatArrays": [self._others(), [self._lease()]]}}}],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        self._renewed_at = time.monotonic()
        leases: list[Document] = (watchers or {})["leases"]
        return leases

    def _lease(self) -> Document:
        until = {"$add": ["$$NOW", self._lease_ms]}
        return {"id": self._id, "until": until, "length_ms": {"$literal": self._lease_ms}}

    def _others(self) -> Document:
        left = {"$subtract": ["$$this.until", "$$NOW"]}
        # One that ends later than it may is of before the clock was set back.
        lives = [{"$gt": [left, 0]}, {"$lte": [left, "$$this.length_ms"]}]
        another = {"$ne": ["$$this.id", self._id]}
        leases = {"$ifNull": ["$leases", []]}
        return {"$filter": {"input": leases, "cond": {"$and": [another, *lives]}}}


@contextmanager
def watching(database: Database[Document], lease_s: float = LEASE_S) -> Iterator[Watcher]:
    """Yield a watcher, which leaves at the end of the block."""
    watcher = Watcher(database, lease_s)
    try:
        yield watcher
    finally:
        watcher.leave()
