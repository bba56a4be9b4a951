"""Count users in bounded time, however many there are."""

import time

import pymongo
from pymongo.database import Database
from pymongo.errors import PyMongoError

from locapi.fixes import ids
from locapi.storage import driver_errors
from locapi.storage.documents import FIXES, MINUTES, Document

TIMEOUT_S = 1.0  # for each of the two counts


def count(database: Database[Document]) -> tuple[int, bool]:
    """Return how many users have minutes, or raw fixes if that is more, and whether it is all.

    There may be more users if the time was too short to count them.
    """
    with driver_errors.translated():
        with_fixes = _count_in_fixes(database)
        with_minutes, is_complete = _count_in_minutes(database)
    return max(with_minutes, with_fixes or 0), is_complete and with_fixes is not None


def _count_in_fixes(database: Database[Document]) -> int | None:
    """Return how many users have raw fixes, None after the timeout."""
    # MongoDB skips from user to user in the index that starts with the user.
    stages: list[Document] = [{"$group": {"_id": "$user_id"}}, {"$count": "users"}]
    try:
        with pymongo.timeout(TIMEOUT_S), database[FIXES].aggregate(stages) as counted:
            users: int = next(counted, {"users": 0})["users"]
            return users
    except PyMongoError as error:
        if not error.timeout:
            raise
        return None


def _count_in_minutes(database: Database[Document]) -> tuple[int, bool]:
    """Return how many users were counted before the timeout, and whether those are all."""
    until = time.monotonic() + TIMEOUT_S
    users, after = 0, ""
    while time.monotonic() < until:
        first = database[MINUTES].find_one({"_id": {"$gte": after}}, {"_id": 1}, sort=[("_id", 1)])
        if first is None:
            return users, True
        users += 1
        after = ids.of_user(ids.user_of(first["_id"]))["$lt"]
    return users, False
