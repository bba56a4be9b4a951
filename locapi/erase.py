"""Remove a user: raw fixes, minutes, what minutes remember, and tokens.

Fixes of the user that arrive meanwhile stay. What a minute counts of them is told
from what it counted before by the raw fixes: those of before are gone by then.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from bson import ObjectId, Timestamp
from pymongo import DeleteOne
from pymongo.database import Database

from locapi import keys, mongo, rollup, watermarks
from locapi.layout import BY_USER_AND_TIME, Index
from locapi.mongo import ERASURES, FIXES, MINUTES, TOKENS, Document

_PAGE = 1_000
_POLL_S = 0.05


@dataclass(frozen=True)
class Erased:
    """What an erasure removed; a minute in which fixes of meanwhile remain counts too."""

    fixes: int
    minutes: int


def erase(database: Database[Document], user_id: str) -> Erased:
    """Remove all that was received of a user before this call.

    Safe while fixes of the user arrive and while fixes are rolled up and pruned.
    Where it is cut off, do it again: until then nothing received since is pruned.
    """
    with mongo.translated_errors():
        database[TOKENS].delete_many({"user_id": user_id})
        note, bound = _note(database, user_id)
        old = {"_id": keys.of_user(user_id), "received_at": {"$lt": bound}}
        fixes = _delete_all(database, old)
        _wait_for_rollups(database)
        minutes = sum(_clean(database, page) for page in _pages(database, note))
        # What arrived in a minute that still counted the same mark was taken for counted.
        rollup.fold_fixes(database, _fix_ids(database, {"_id": keys.of_user(user_id)}, "_id_"))
        database[ERASURES].delete_one(note)
    return Erased(fixes, minutes)


def _note(database: Database[Document], user_id: str) -> tuple[Document, Timestamp]:
    """Bar prunes from what is received from now on, and return the note and where that begins.

    It takes the place of a note that an erasure left that was cut off. Of two at
    once, the later one's stays: it erases all that the earlier one's protects.
    """
    while True:
        bound = watermarks.after(mongo.settled_time(database))
        note = {"_id": user_id, "received_at": bound, "by": ObjectId()}
        database[ERASURES].replace_one({"_id": user_id}, note, upsert=True)
        watermarks.advance(database, watermarks.ERASED, bound)  # for dumps under way
        horizon = watermarks.read(database, watermarks.PRUNED)
        if horizon is None or horizon <= bound:
            return note, bound
        time.sleep(_POLL_S)  # a prune's clock is ahead, or ours was set back


def _delete_all(database: Database[Document], old: Document) -> int:
    """Delete until none is found: on a sharded cluster one that just moves is passed over."""
    deleted = 0
    while database[FIXES].find_one(old, {"_id": 1}, hint="_id_"):
        deleted += database[FIXES].delete_many(old, hint="_id_").deleted_count
    return deleted


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


def _pages(database: Database[Document], note: Document) -> Iterator[list[Document]]:
    """Yield the user's minutes, unless a later erasure has taken over, which does the rest."""
    user_id = note["_id"]
    minutes = database[MINUTES].find({"_id": keys.of_user(user_id)}, {"minute": 1, "seen": 1})
    rest = iter(minutes.sort("_id", 1))
    while (page := list(islice(rest, _PAGE))) and database[ERASURES].find_one(note):
        yield page


def _clean(database: Database[Document], page: list[Document]) -> int:
    """Make each minute what its raw fixes make of it; return how many there were."""
    user_id, start = keys.parse_minute_id(page[0]["_id"])
    window = {"$gte": start, "$lt": page[-1]["minute"] + timedelta(minutes=1)}
    # The fixes after the minutes: so none that a minute counts rightly is overlooked.
    found = database[FIXES].find(
        keys.between(user_id, window), {"_id": 0, "minute_id": 1}, hint=BY_USER_AND_TIME
    )
    alive = {fix["minute_id"] for fix in found}
    dead = [DeleteOne(_unchanged(minute)) for minute in page if minute["_id"] not in alive]
    if dead:
        database[MINUTES].bulk_write(dead, ordered=False)
    keys_of_page = {"_id": {"$in": [minute["_id"] for minute in page]}}
    for minute in database[MINUTES].find(keys_of_page, {"_id": 1}):
        _remake(database, minute["_id"])
    return len(page)


def _remake(database: Database[Document], minute_id: str) -> None:
    done = False
    while not done and (minute := database[MINUTES].find_one({"_id": minute_id}, {"seen": 1})):
        fix_ids = _fix_ids(database, keys.of_minute(minute_id), BY_USER_AND_TIME)
        if anew := rollup.fold_anew(database, fix_ids):
            done = bool(database[MINUTES].replace_one(_unchanged(minute), anew[0]).matched_count)
        else:
            done = bool(database[MINUTES].delete_one(_unchanged(minute)).deleted_count)


def _unchanged(minute: Document) -> Document:
    # Whatever is folded into a minute changes this; then it is to be looked at again.
    return {"_id": minute["_id"], "seen": minute["seen"]}


def _fix_ids(database: Database[Document], which: Document, hint: Index) -> list[str]:
    return [fix["_id"] for fix in database[FIXES].find(which, {"_id": 1}, hint=hint)]
