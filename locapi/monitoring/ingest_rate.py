"""Measure how many fixes are received a second, and how many users are active."""

from datetime import datetime
from typing import NamedTuple

import pymongo
from bson import Timestamp
from pymongo.database import Database

from locapi.rollup import windows
from locapi.storage import driver_errors
from locapi.storage.documents import FIXES, Document

ACTIVE_S = 300  # a user who has sent a fix within this time is active
RATE_S = 10  # rates are means over this time
DEADLINE_S = 5
MAX_FIXES = 50_000  # a sample reads at most so many; the window of active users gets shorter
_VISIBLE_S = 1  # a fix becomes visible a little after its `received_at`


class Rates(NamedTuple):
    """Fixes received a second, and how many users sent one within the last `window_s`."""

    fixes_per_s: float
    active_users: int
    window_s: int


class IngestRate:
    """Follow the fixes of one database; each sample reads only those received since the last."""

    def __init__(self, database: Database[Document]) -> None:
        self._fixes = database[FIXES]
        self._last_fix_at: dict[str, int] = {}  # by user, in seconds
        self._since = self._until = 0  # the window in which all users are known

    def sample(self, now: datetime) -> Rates:
        """Return the rates; `now` is the time of the database's clock."""
        until = int(now.timestamp()) - _VISIBLE_S
        with driver_errors.translated(), pymongo.timeout(DEADLINE_S):
            if until > self._until:
                self._read_users(until)
            received = self._fixes.count_documents(_received(until - RATE_S, until))
        self._forget(until - ACTIVE_S)
        return Rates(received / RATE_S, len(self._last_fix_at), until - self._since)

    def _read_users(self, until: int) -> None:
        start = self._start(until)
        if start > self._until:  # there is a gap after the last window
            self._last_fix_at, self._since = {}, start
        last_fix = {"_id": "$user_id", "at": {"$max": "$received_at"}}
        stages = [{"$match": _received(start, until)}, {"$group": last_fix}]
        with self._fixes.aggregate(stages) as users:
            self._last_fix_at.update((user["_id"], user["at"].time) for user in users)
        self._until = until

    def _start(self, until: int) -> int:
        """Return when to start reading, so that it is MAX_FIXES at most."""
        start = max(self._until, until - ACTIVE_S)
        newest_first = self._fixes.find(
            _received(start, until), {"_id": 0, "received_at": 1}, sort=[("received_at", -1)]
        )
        excess = next(newest_first.skip(MAX_FIXES).limit(1), None)
        return start if excess is None else min(until, excess["received_at"].time + 1)

    def _forget(self, before: int) -> None:
        self._last_fix_at = {user: at for user, at in self._last_fix_at.items() if at >= before}
        self._since = max(self._since, before)


def _received(start: int, until: int) -> Document:
    return windows.received(Timestamp(max(0, start), 0), Timestamp(until, 0))
