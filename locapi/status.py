"""How things are: what is read of the database at one look.

Reading changes nothing, goes through no collection, and needs no right but to find;
what else it would need is left out where it is not granted.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pymongo
from bson import Timestamp
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from locapi import backlog, keys, layout, mongo, settings, watermarks, windows
from locapi.errors import DatabaseRefused, DatabaseUnavailable
from locapi.mongo import FIXES, MINUTES, Document
from locapi.settings import Settings

DEADLINE_S = 5
USERS_S = 1.0  # how long each of two ways to count the users may take
MAX_MISSING = 1_000  # minutes that miss fixes are counted up to this
LOOK_AGAIN_S = 1.0  # after which a roll-up at work has given a minute what it missed

_UNAUTHORIZED = 13
_NO_SUCH_HINT = 2


@dataclass(frozen=True)
class Disk:
    """What is used by data and indexes, as compressed, and what the volume has."""

    data_bytes: int
    index_bytes: int
    free_bytes: int | None  # None where MongoDB does not tell
    volume_bytes: int | None


@dataclass(frozen=True)
class Status:
    """What one look found; None stands for what could not be told."""

    at: datetime  # by the database's clock, where it answers
    database: str
    where: str
    refused: bool = False  # it answered, and refused
    fault: str | None = None  # why nothing was told
    mongodb: str | None = None  # its version
    raw_fixes: int | None = None
    minutes: int | None = None
    users: int | None = None
    users_complete: bool | None = None  # else there are more
    newest_received_at: datetime | None = None
    oldest_received_at: datetime | None = None
    rollup_lag_s: float | None = None
    rolled_up_at: datetime | None = None
    rollup_duration_s: float | None = None
    minutes_missing_fixes: int | None = None
    missing_indexes: tuple[str, ...] = ()
    disk: Disk | None = None
    pruned_at: datetime | None = None
    pruned_fixes: int | None = None


@contextmanager
def open_existing(chosen: Settings) -> Iterator[Database[Document]]:
    """Yield the database; raise DatabaseUnavailable where an embedded one was never made."""
    if chosen.mongodb_uri is None and not (chosen.data_dir / "db").is_dir():
        raise DatabaseUnavailable(
            f"there is no embedded database in {chosen.data_dir} yet; "
            "start `locctl serve`, or name another by MONGODB_URI"
        )
    with mongo.open_database(chosen) as database:
        yield database


def where(chosen: Settings) -> str:
    """Return where the database runs, without a secret."""
    if chosen.mongodb_uri is None:
        return f"embedded in {chosen.data_dir}"
    return settings.redacted(chosen.mongodb_uri)


def look(chosen: Settings) -> Status:
    """Return how things are, users included; a database that is away is a finding too."""
    try:
        with open_existing(chosen) as database:
            return count_users(database, read(database, where(chosen)))
    except DatabaseUnavailable as error:
        return failed(Status(datetime.now(UTC), chosen.database, where(chosen)), error)


def read(database: Database[Document], where: str, now: datetime | None = None) -> Status:
    """Return all but the users, by the database's clock unless `now` is given."""
    found = Status(now or datetime.now(UTC), database.name, where)
    try:
        with mongo.translated_errors(), pymongo.timeout(DEADLINE_S):
            found = replace(found, at=now or backlog.clock(database))
            return _read(database, found)
    except (DatabaseUnavailable, DatabaseRefused) as error:
        return failed(found, error)


def failed(found: Status, error: DatabaseUnavailable | DatabaseRefused) -> Status:
    """Return how things are where the database told no more."""
    return replace(found, fault=str(error), refused=isinstance(error, DatabaseRefused))


def _read(database: Database[Document], found: Status) -> Status:
    found = replace(
        found,
        mongodb=database.client.server_info()["version"],
        missing_indexes=tuple(_missing_indexes(database)),
        disk=_disk(database),
    )
    if found.missing_indexes:  # without them the rest would read collections through
        return found
    stored = backlog.read(database, found.at)
    rolled_up, pruned = (
        watermarks.entry(database, name) for name in (watermarks.ROLLED_UP, watermarks.PRUNED)
    )
    rolled_up_to = min(watermarks.by_slice(rolled_up))
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
        pruned_at=pruned.get("finished_at"),
        pruned_fixes=pruned.get("deleted"),
    )


def _missing_indexes(database: Database[Document]) -> Iterator[str]:
    # By asking for one that must be there: to list them is a right that not every user has.
    for collection in layout.COLLECTIONS:
        for index in collection.indexes:
            by = index.document["key"]
            try:
                database[collection.name].find_one({}, {"_id": 1}, hint=list(by.items()))
            except OperationFailure as error:
                if error.code != _NO_SUCH_HINT:
                    raise
                yield f"{collection.name}: {', '.join(by)}"


def _disk(database: Database[Document]) -> Disk | None:
    try:
        told = database.command("dbStats")
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        return None
    volume = int(told.get("fsTotalSize", 0)) or None
    free = None if volume is None else volume - int(told["fsUsedSize"])
    return Disk(int(told["storageSize"]), int(told["indexSize"]), free, volume)


def _received(database: Database[Document], direction: int) -> datetime | None:
    end = database[FIXES].find_one(
        windows.received(), {"_id": 0, "received_at": 1}, sort=[("received_at", direction)]
    )
    if end is None:
        return None
    received_at: Timestamp = end["received_at"]
    return received_at.as_datetime()


def _minutes_missing_fixes(database: Database[Document]) -> int:
    """Count them up to MAX_MISSING, but not those for which a roll-up is at work."""
    missing = {"missing": {"$exists": True}}
    ids = [each["_id"] for each in database[MINUTES].find(missing, {"_id": 1}).limit(MAX_MISSING)]
    if not ids:
        return 0
    time.sleep(LOOK_AGAIN_S)
    return database[MINUTES].count_documents({"_id": {"$in": ids}, **missing})


def count_users(database: Database[Document], found: Status) -> Status:
    """Add how many users have minutes or, where those are more, raw fixes; within two seconds."""
    if found.fault or found.missing_indexes:
        return found
    with mongo.translated_errors():
        raw = _users_of_fixes(database)
        users, complete = _users_of_minutes(database)
    return replace(found, users=max(users, raw or 0), users_complete=complete and raw is not None)


def _users_of_fixes(database: Database[Document]) -> int | None:
    """Return how many users have raw fixes, None if that takes too long."""
    # The database skips from user to user in the index that begins with them.
    stages: list[Document] = [{"$group": {"_id": "$user_id"}}, {"$count": "users"}]
    try:
        with pymongo.timeout(USERS_S), database[FIXES].aggregate(stages) as counted:
            users: int = next(counted, {"users": 0})["users"]
            return users
    except PyMongoError as error:
        if not error.timeout:
            raise
        return None


def _users_of_minutes(database: Database[Document]) -> tuple[int, bool]:
    """Return how many users have minutes, and whether there was the time to count them all."""
    until = time.monotonic() + USERS_S
    users, after = 0, ""
    while time.monotonic() < until:
        following = database[MINUTES].find_one(
            {"_id": {"$gte": after}}, {"_id": 1}, sort=[("_id", 1)]
        )
        if following is None:
            return users, True
        users += 1
        after = keys.of_user(keys.parse_minute_id(following["_id"])[0])["$lt"]
    return users, False
