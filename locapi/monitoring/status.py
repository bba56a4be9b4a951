"""Read the status of a database: what it stores, and how far roll-up and prune have come.

Reading changes nothing, scans no collection, and needs only the right to `find`. Values that
need other rights are left out where those are not granted.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

import pymongo
from bson import Timestamp
from pymongo.database import Database
from pymongo.errors import OperationFailure

from locapi import settings, times
from locapi.errors import DatabaseRefused, DatabaseUnavailable
from locapi.monitoring import backlog, user_count
from locapi.rollup import quarantine, watermarks, windows
from locapi.settings import Settings
from locapi.storage import collections, driver_errors, mongo
from locapi.storage.documents import FIXES, MINUTES, Document

DEADLINE_S = 5
MAX_MISSING = 1_000  # minutes that are missing fixes are counted up to this
MAX_NAMED = 10  # minutes in quarantine
RECHECK_S = 1.0  # after which a running roll-up has added the fixes that a minute was missing

_UNAUTHORIZED = 13
_NO_SUCH_HINT = 2


@dataclass(frozen=True)
class Disk:
    """Bytes used by data and indexes, compressed, and the size of the volume."""

    data_bytes: int
    index_bytes: int
    free_bytes: int | None  # None if MongoDB does not report it
    volume_bytes: int | None


@dataclass(frozen=True)
class Status:
    """The status at one time; None stands for what could not be read."""

    at: datetime  # by the database's clock if it answers
    database: str
    where: str
    refused: bool = False  # whether `error` is the database's refusal
    error: str | None = None  # why nothing could be read
    mongodb: str | None = None  # version
    raw_fixes: int | None = None
    minutes: int | None = None
    users: int | None = None
    users_complete: bool | None = None  # if not, there may be more
    newest_received_at: datetime | None = None
    oldest_received_at: datetime | None = None
    rollup_lag_s: float | None = None
    rolled_up_at: datetime | None = None
    rollup_duration_s: float | None = None
    minutes_missing_fixes: int | None = None
    quarantined_minutes: int | None = None
    quarantined: tuple[str, ...] = ()  # MAX_NAMED of them, each with the reason
    missing_indexes: tuple[str, ...] = ()
    disk: Disk | None = None
    pruned_at: datetime | None = None
    pruned_fixes: int | None = None


@contextmanager
def open_existing(chosen: Settings) -> Iterator[Database[Document]]:
    """Yield the database; raise DatabaseUnavailable instead of creating an embedded one."""
    if chosen.mongodb_uri is None and not (chosen.data_dir / "db").is_dir():
        raise DatabaseUnavailable(
            f"there is no embedded database in {chosen.data_dir} yet. "
            "Start `locctl serve`, or set MONGODB_URI to another database."
        )
    with mongo.open_database(chosen) as database:
        yield database


def where(chosen: Settings) -> str:
    """Return where the database runs, without user, password and options."""
    if chosen.mongodb_uri is None:
        return f"embedded in {chosen.data_dir}"
    return settings.redacted(chosen.mongodb_uri)


def check(chosen: Settings) -> Status:
    """Return the status with the number of users; an unavailable database is a status too."""
    try:
        with open_existing(chosen) as database:
            return count_users(database, read(database, where(chosen)))
    except DatabaseUnavailable as error:
        return failed(Status(times.utc_now(), chosen.database, where(chosen)), error)


def read(database: Database[Document], where: str, now: datetime | None = None) -> Status:
    """Return the status without users, by the database's clock unless `now` is given."""
    found = Status(now or times.utc_now(), database.name, where)
    try:
        with driver_errors.translated(), pymongo.timeout(DEADLINE_S):
            found = replace(found, at=now or backlog.clock(database))
            return _read(database, found)
    except (DatabaseUnavailable, DatabaseRefused) as error:
        return failed(found, error)


def failed(found: Status, error: DatabaseUnavailable | DatabaseRefused) -> Status:
    """Return the status of a database that could not be read any further."""
    return replace(found, error=str(error), refused=isinstance(error, DatabaseRefused))


def _read(database: Database[Document], found: Status) -> Status:
    found = replace(
        found,
        mongodb=database.client.server_info()["version"],
        missing_indexes=tuple(_missing_indexes(database)),
        disk=read_disk(database),
    )
    if found.missing_indexes:  # without them the rest would scan collections
        return found
    stored = backlog.read(database, found.at)
    rolled_up, pruned = (
        watermarks.entry(database, name) for name in (watermarks.ROLLED_UP, watermarks.PRUNED)
    )
    rolled_up_to = min(watermarks.rolled_up(rolled_up))
    return replace(
        found,
        raw_fixes=stored.raw_fixes,
        minutes=stored.minutes,
        newest_received_at=_received(database, -1),
        oldest_received_at=_received(database, 1),
        rollup_lag_s=stored.rollup_lag_s,
        rolled_up_at=rolled_up_to.as_datetime() if rolled_up_to > watermarks.NEVER else None,
        rollup_duration_s=stored.rollup_duration_s,
        minutes_missing_fixes=_minutes_missing_fixes(database),
        quarantined_minutes=stored.quarantined_minutes,
        quarantined=_quarantined(database) if stored.quarantined_minutes else (),
        pruned_at=pruned.get("finished_at"),
        pruned_fixes=pruned.get("deleted"),
    )


def _missing_indexes(database: Database[Document]) -> Iterator[str]:
    # A query with a hint shows it: listing indexes is a right that not every user has.
    for collection in collections.COLLECTIONS:
        for index in collection.indexes:
            key = index.document["key"]
            try:
                database[collection.name].find_one({}, {"_id": 1}, hint=list(key.items()))
            except OperationFailure as error:
                if error.code != _NO_SUCH_HINT:
                    raise
                yield f"{collection.name}: {', '.join(key)}"


def read_disk(database: Database[Document]) -> Disk | None:
    """Return the use of the disk, None without the right to `dbStats`."""
    try:
        stats = database.command("dbStats")
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        return None
    volume = int(stats.get("fsTotalSize", 0)) or None
    free = None if volume is None else volume - int(stats["fsUsedSize"])
    return Disk(int(stats["storageSize"]), int(stats["indexSize"]), free, volume)


def _received(database: Database[Document], direction: int) -> datetime | None:
    end = database[FIXES].find_one(
        windows.received(), {"_id": 0, "received_at": 1}, sort=[("received_at", direction)]
    )
    if end is None:
        return None
    received_at: Timestamp = end["received_at"]
    return received_at.as_datetime()


def _minutes_missing_fixes(database: Database[Document]) -> int:
    """Return how many there are, up to MAX_MISSING, without those a roll-up is adding fixes to."""
    missing = {"missing": {"$exists": True}}
    found = [each["_id"] for each in database[MINUTES].find(missing, {"_id": 1}).limit(MAX_MISSING)]
    if not found:
        return 0
    time.sleep(RECHECK_S)
    apart = quarantine.minute_ids(database)
    return database[MINUTES].count_documents({"_id": {"$in": found, "$nin": apart}, **missing})


def _quarantined(database: Database[Document]) -> tuple[str, ...]:
    named = islice(quarantine.entries(database), MAX_NAMED)
    return tuple(map(quarantine.describe, named))


def count_users(database: Database[Document], found: Status) -> Status:
    """Return the status with the number of users, which takes two seconds at most."""
    if found.error or found.missing_indexes:
        return found
    users, is_complete = user_count.count(database)
    return replace(found, users=users, users_complete=is_complete)
