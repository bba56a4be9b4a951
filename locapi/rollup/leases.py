"""Share the slices of the raw fixes among the roll-ups that watch a database.

Each roll-up has a lease in one document, renewed while it works, by the database's clock.
A roll-up that died or hangs loses its slices once its lease has expired. If it goes on with
them nevertheless, two fold the same slices: this affects speed, not correctness.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pymongo
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from locapi.errors import LocapiError
from locapi.fixes.ids import SLICES
from locapi.storage import driver_errors
from locapi.storage.documents import WATERMARKS, Document, Lease

LEASE_S = 30.0
_RENEWALS = 10  # within the length of a lease
_RELEASE_S = 2
_LEASES = {"_id": "leases"}


class RollupLease:
    """The lease of one roll-up."""

    def __init__(self, database: Database[Document], lease_s: float = LEASE_S) -> None:
        self.id = ObjectId()
        self.renew_s = lease_s / _RENEWALS
        self._length_ms = int(lease_s * 1000)
        self._watermarks = database[WATERMARKS]
        self._renewed_at = -math.inf

    def slices(self) -> range:
        """Renew the lease and return this roll-up's share of the slices."""
        ids = sorted(lease["id"] for lease in self._renew())
        rank, count = ids.index(self.id), len(ids)
        return range(SLICES * rank // count, SLICES * (rank + 1) // count)

    def renew(self) -> None:
        """Renew the lease if it is time to; call this often during long work."""
        if time.monotonic() - self._renewed_at >= self.renew_s:
            self._renew()

    def release(self) -> None:
        """Let the others take over at once; without an error if the database is away."""
        with suppress(LocapiError), driver_errors.translated(), pymongo.timeout(_RELEASE_S):
            self._watermarks.update_one(_LEASES, {"$pull": {"leases": {"id": self.id}}})

    def _renew(self) -> list[Lease]:
        """Renew the lease, drop the expired ones, and return the rest."""
        with driver_errors.translated():
            document = self._watermarks.find_one_and_update(
                _LEASES,
                [{"$set": {"leases": {"$concatArrays": [self._others(), [self._own()]]}}}],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        self._renewed_at = time.monotonic()
        leases: list[Lease] = (document or {})["leases"]
        return leases

    def _own(self) -> Document:
        until = {"$add": ["$$NOW", self._length_ms]}
        return {"id": self.id, "until": until, "length_ms": {"$literal": self._length_ms}}

    def _others(self) -> Document:
        left = {"$subtract": ["$$this.until", "$$NOW"]}
        # More than its length is left of a lease if the clock was set back since.
        valid = [{"$gt": [left, 0]}, {"$lte": [left, "$$this.length_ms"]}]
        another = {"$ne": ["$$this.id", self.id]}
        leases = {"$ifNull": ["$leases", []]}
        return {"$filter": {"input": leases, "cond": {"$and": [another, *valid]}}}


@contextmanager
def rollup_lease(database: Database[Document], lease_s: float = LEASE_S) -> Iterator[RollupLease]:
    """Yield a lease, which is released at the end of the block."""
    lease = RollupLease(database, lease_s)
    try:
        yield lease
    finally:
        lease.release()
