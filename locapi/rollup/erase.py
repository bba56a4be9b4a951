"""Remove a user: raw fixes, minutes, deduplication records and tokens.

Fixes of the user that arrive meanwhile stay. The old raw fixes are deleted first; then the raw
fixes that are left show which fixes a minute has to keep.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from bson import ObjectId, Timestamp
from pymongo import DeleteOne
from pymongo.database import Database

from locapi.errors import Conflict, DatabaseUnavailable
from locapi.fixes import ids
from locapi.rollup import fold, quarantine, watermarks
from locapi.rollup.aggregation import MAX_MINUTE_FIXES
from locapi.storage import changes, driver_errors, read_points
from locapi.storage.collections import BY_USER_AND_TIME, Index
from locapi.storage.documents import (
    ERASURES,
    FIXES,
    MINUTES,
    QUARANTINE,
    REJECTS,
    TOKENS,
    Document,
    Erasure,
)

PAGE_MINUTES = 1_000
MAX_WAIT_S = 300.0  # for roll-ups that are running
_POLL_S = 0.05
_MAX_AHEAD_S = 60.0  # how far a prune's horizon may lie ahead of the database's clock

Say = Callable[[str], object]


@dataclass(frozen=True)
class Erased:
    """What was removed; a minute counts even if fixes received meanwhile remain in it."""

    fixes: int
    minutes: int


def is_known(database: Database[Document], user_id: str) -> bool:
    """Return whether anything of a user is stored, or left by an erasure that was interrupted."""
    of_user = {"_id": ids.of_user(user_id)}
    places = {
        FIXES: of_user,
        MINUTES: of_user,
        REJECTS: of_user,
        TOKENS: {"user_id": user_id},
        QUARANTINE: {"user_id": user_id},
        ERASURES: {"_id": user_id},
    }
    with driver_errors.translated():
        return any(database[name].find_one(which, {"_id": 1}) for name, which in places.items())


def erase(
    database: Database[Document],
    user_id: str,
    say: Say = lambda _: None,
    max_wait_s: float = MAX_WAIT_S,
) -> Erased:
    """Remove everything that was received of a user before this call.

    Safe while fixes of the user arrive and while fixes are rolled up and pruned. If it is
    interrupted, repeat it: until then nothing received since is pruned. Calls `say` with what
    it waits for. Raises DatabaseUnavailable if a roll-up runs for longer than `max_wait_s`, and
    Conflict if the horizon of a prune lies more than a minute ahead of the database's clock.
    """
    with driver_errors.translated(), changes.marked(database) as mark:
        database[TOKENS].delete_many({"user_id": user_id})
        database[REJECTS].delete_many({"_id": ids.of_user(user_id)})
        changes.bury(database, user_id, mark)
        erasure = _begin(database, user_id, say)
        fixes = _delete_fixes(database, erasure)
        _wait_for_rollups(database, say, max_wait_s)
        minutes = sum(_clean(database, page, mark) for page in _pages(database, erasure))
        quarantine.release_user(database, user_id)
        # A new fix with the id of an old one met a minute that still counted the old one.
        fold.fold_fixes(database, _fix_ids(database, {"_id": ids.of_user(user_id)}, "_id_"))
        database[ERASURES].delete_one(erasure)
    return Erased(fixes, minutes)


def _begin(database: Database[Document], user_id: str, say: Say) -> Erasure:
    """Record the erasure, which keeps prunes from what is received from now on.

    It replaces the record of an interrupted erasure. Of two at once the record of the later one
    stays: that one erases everything that the earlier one protects.
    """
    has_said = False
    while True:
        bound = watermarks.after(read_points.majority_read_time(database))
        erasure: Erasure = {"_id": user_id, "received_at": bound, "by": ObjectId()}
        database[ERASURES].replace_one({"_id": user_id}, erasure, upsert=True)
        watermarks.advance(database, watermarks.ERASED, bound)  # for dumps under way
        horizon = watermarks.read(database, watermarks.PRUNED)
        if horizon is None or horizon <= bound:
            return erasure
        _check_clock(horizon, bound)
        if not has_said:
            say("Waiting until the database's clock reaches the last prune.")
        has_said = True
        time.sleep(_POLL_S)


def _check_clock(horizon: Timestamp, now: Timestamp) -> None:
    if horizon.time - now.time > _MAX_AHEAD_S:
        at = f"{horizon.as_datetime():%Y-%m-%d %H:%M:%S} UTC"
        raise Conflict(
            f"the horizon of the last prune is {at}, which is later than the database's clock. "
            "Set the clock right, or erase again after that time."
        )


def _delete_fixes(database: Database[Document], erasure: Erasure) -> int:
    """Delete the fixes received before, until none is found.

    On a sharded cluster a delete may skip a document that is moving to another shard.
    """
    old = {
        "_id": ids.of_user(erasure["_id"]),
        "received_at": {"$lt": erasure["received_at"]},
    }
    deleted = 0
    while database[FIXES].find_one(old, {"_id": 1}, hint="_id_"):
        deleted += database[FIXES].delete_many(old, hint="_id_").deleted_count
    return deleted


def _wait_for_rollups(database: Database[Document], say: Say, max_wait_s: float) -> None:
    """Wait for the folds that are running: they may still hold fixes that are deleted."""
    running, deadline = running_folds(database), time.monotonic() + max_wait_s
    if running:
        say("Waiting for the roll-up that is running.")
    while running & running_folds(database):
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(
                f"a roll-up has been running for {max_wait_s:g} s, and may still fold fixes of "
                "this user. The raw fixes are deleted; erase again when the roll-up has ended."
            )
        time.sleep(_POLL_S)


def running_folds(database: Database[Document]) -> set[str]:
    """Return the ids of the folds that this database user has running."""
    operations = database.client.admin.aggregate(
        [{"$currentOp": {}}, {"$match": {"command.comment": fold.COMMENT}}]
    )
    return {str(operation["opid"]) for operation in operations}


def _pages(database: Database[Document], erasure: Erasure) -> Iterator[list[Document]]:
    """Yield the user's minutes until a later erasure has taken over, which does the rest."""
    of_user = {"_id": ids.of_user(erasure["_id"])}
    minutes = database[MINUTES].find(of_user, {"minute": 1, "seen": 1})
    rest = iter(minutes.sort("_id", 1))
    while (page := list(islice(rest, PAGE_MINUTES))) and database[ERASURES].find_one(erasure):
        yield page


def _clean(database: Database[Document], page: list[Document], mark: datetime) -> int:
    """Make each minute what its raw fixes make of it; return how many there were."""
    user_id, start = ids.parse_minute_id(page[0]["_id"])
    window = {"$gte": start, "$lt": page[-1]["minute"] + timedelta(minutes=1)}
    # Read after the minutes, so that no fix that a minute rightly counts is missed.
    found = database[FIXES].find(
        ids.between(user_id, window), {"_id": 0, "minute_id": 1}, hint=BY_USER_AND_TIME
    )
    alive = {fix["minute_id"] for fix in found}
    dead = [DeleteOne(_unchanged(minute)) for minute in page if minute["_id"] not in alive]
    if dead:
        database[MINUTES].bulk_write(dead, ordered=False)
    of_page = ids.among([minute["_id"] for minute in page])
    for minute in database[MINUTES].find({"_id": of_page}, {"_id": 1}):
        _remake(database, minute["_id"], mark)
    return len(page)


def _remake(database: Database[Document], minute_id: str, mark: datetime) -> None:
    minutes, done = database[MINUTES], False
    while not done and (minute := minutes.find_one({"_id": minute_id}, {"seen": 1})):
        fix_ids = _fix_ids(database, ids.of_minute(minute_id), BY_USER_AND_TIME)
        # Any more are folded at the end, which puts the minute into quarantine.
        if remade := fold.make_minutes(database, fix_ids[:MAX_MINUTE_FIXES], mark):
            done = bool(minutes.replace_one(_unchanged(minute), remade[0]).matched_count)
        else:
            done = bool(minutes.delete_one(_unchanged(minute)).deleted_count)


def _unchanged(minute: Document) -> Document:
    # Whatever is folded into a minute changes `seen`; then the minute must be read again.
    return {"_id": minute["_id"], "seen": minute["seen"]}


def _fix_ids(database: Database[Document], which: dict[str, Any], hint: Index) -> list[str]:
    return [fix["_id"] for fix in database[FIXES].find(which, {"_id": 1}, hint=hint)]
