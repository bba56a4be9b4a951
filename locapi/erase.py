"""Remove a user: raw fixes, minutes, and what minutes remember.

Fixes of the user that arrive meanwhile stay. What a minute counts of them is told
from what it counted before by the raw fixes: those of before are gone by then.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from bson import ObjectId, Timestamp
from pymongo import DeleteOne, ReplaceOne
from pymongo.database import Database

from locapi import keys, mongo, rollup, watermarks
from locapi.mongo import ERASURES, FIXES, MINUTES, Document

Stale = tuple[Document, set[int]]

_PAGE = 1_000
_POLL_S = 0.05


@dataclass(frozen=True)
class Erased:
    """What an erasure removed; a minute that fixes of meanwhile remain in counts too."""

    fixes: int
    minutes: int


def erase(database: Database[Document], user_id: str) -> Erased:
    """Remove all that was received of a user before this call.

    Safe while fixes of the user arrive and while fixes are rolled up and pruned.
    Where it is cut off, do it again: until then nothing received since is pruned.
    """
    with mongo.translated_errors():
        erasure, bound = _note(database, user_id)
        old = {"_id": keys.of_user(user_id), "received_at": {"$lt": bound}}
        fixes = database[FIXES].delete_many(old).deleted_count
        _wait_for_rollups(database)
        minutes = 0
        stale = True
        while stale:
            stale = False
            for page in _stale_pages(database, user_id):
                stale = True
                minutes += _change(database, page)
        # Its own note, and those of erasures of this user that were cut off before.
        done = [{"_id": erasure}, {"user_id": user_id, "received_at": {"$lt": bound}}]
        database[ERASURES].delete_many({"$or": done})
    return Erased(fixes, minutes)


def _note(database: Database[Document], user_id: str) -> tuple[ObjectId, Timestamp]:
    """Bar prunes from what is received from now on, and return the mark that begins it."""
    erasure = ObjectId()
    while True:
        bound = watermarks.after(mongo.settled_time(database))
        note = {"_id": erasure, "user_id": user_id, "received_at": bound}
        database[ERASURES].replace_one({"_id": erasure}, note, upsert=True)
        horizon = watermarks.read(database, watermarks.PRUNED)
        if horizon is None or horizon <= bound:
            return erasure, bound
        time.sleep(_POLL_S)  # a prune's clock is ahead, or ours was set back


def _wait_for_rollups(database: Database[Document]) -> None:
    """Wait for the roll-ups that run now: they may still hold fixes that are deleted."""
    running = _rollups(database)
    while running & _rollups(database):
        time.sleep(_POLL_S)


def _rollups(database: Database[Document]) -> set[str]:
    operations = database.client.admin.aggregate(
        [{"$currentOp": {}}, {"$match": {"command.comment": rollup.COMMENT}}]
    )
    return {str(operation["opid"]) for operation in operations}


def _stale_pages(database: Database[Document], user_id: str) -> Iterator[list[Stale]]:
    """Yield the user's minutes that count what is not there, each with the marks that are."""
    minutes = database[MINUTES].find({"_id": keys.of_user(user_id)}, {"minute": 1, "seen": 1})
    rest = iter(minutes.sort("_id", 1))
    while page := list(islice(rest, _PAGE)):
        # The fixes are read after the minutes: what is counted and not found was there before.
        marks = _marks(database, user_id, page)
        stale = [
            (minute, marks[minute["_id"]])
            for minute in page
            if not marks[minute["_id"]].issuperset(minute["seen"])
        ]
        if stale:
            yield stale


def _marks(
    database: Database[Document], user_id: str, page: list[Document]
) -> defaultdict[str, set[int]]:
    end = page[-1]["minute"] + timedelta(minutes=1)
    window = {"user_id": user_id, "fix_time": {"$gte": page[0]["minute"], "$lt": end}}
    marks = defaultdict(set)
    for fix in database[FIXES].find(window, {"minute_id": 1, "mark": 1}):
        marks[fix["minute_id"]].add(fix["mark"])
    return marks


def _change(database: Database[Document], stale: list[Stale]) -> int:
    """Make each minute what its raw fixes make of it; return how many minutes that changed."""
    fix_ids = [keys.seen_fix_id(minute["_id"], mark) for minute, marks in stale for mark in marks]
    anew = {minute["_id"]: minute for minute in rollup.fold_anew(database, fix_ids)}
    changes: list[DeleteOne | ReplaceOne[Document]] = []
    for minute, _ in stale:
        # Only if nothing was folded into it meanwhile; else the next look sees it again.
        unchanged = {"_id": minute["_id"], "seen": minute["seen"]}
        made = anew.get(minute["_id"])
        changes.append(ReplaceOne(unchanged, made) if made else DeleteOne(unchanged))
    result = database[MINUTES].bulk_write(changes, ordered=False)
    return result.deleted_count + result.modified_count
