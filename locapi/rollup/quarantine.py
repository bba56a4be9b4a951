"""Keep minutes that cannot be folded apart, so that they do not stop the roll-up of others.

A minute gets into quarantine if it would count too many fixes, or if one of its documents is
malformed. Roll-ups and prunes leave out its raw fixes, so all of them stay.
"""

import logging
from collections.abc import Iterator
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from locapi import times
from locapi.errors import DatabaseRefused
from locapi.fixes import ids
from locapi.storage import driver_errors
from locapi.storage.documents import FIXES, QUARANTINE, Document, Quarantined, quarantined

_BAD_VALUE, _TYPE_MISMATCH, _INVALID, _MEMORY_LIMIT = 2, 14, 121, 146
_CONVERSION_FAILURE, _TOO_LARGE = 241, 10334
_BY_DOCUMENTS = {
    *(_BAD_VALUE, _TYPE_MISMATCH, _INVALID, _MEMORY_LIMIT, _CONVERSION_FAILURE, _TOO_LARGE)
}
# `aggregation.fold` fails to convert if a minute would count too many fixes.
_TOO_MANY = {_MEMORY_LIMIT, _CONVERSION_FAILURE, _TOO_LARGE}

_log = logging.getLogger(__name__)


def is_caused_by_documents(error: OperationFailure) -> bool:
    """Return whether an aggregation failed because of a document that it read or wrote."""
    if not isinstance(driver_errors.explain(error), DatabaseRefused):
        return False
    # What the database refuses to calculate has a code without a name of its own.
    name = str((error.details or {}).get("codeName", ""))
    return error.code in _BY_DOCUMENTS or name.startswith("Location")


def minute_ids(database: Database[Document]) -> list[Any]:
    """Return the minutes in quarantine as their raw fixes have them, well-formed or not."""
    return [each["minute_id"] for each in quarantined(database).find({}, {"minute_id": 1})]


def excluding(database: Database[Document], which: Document) -> Document:
    """Return the query for those raw fixes of `which` that are not in quarantine."""
    apart = minute_ids(database)
    return {"$and": [which, {"minute_id": {"$nin": apart}}]} if apart else which


def count(database: Database[Document], which: Document) -> int:
    """Return how many of these raw fixes are in quarantine."""
    if not (apart := minute_ids(database)):
        return 0
    return database[FIXES].count_documents({"$and": [which, {"minute_id": {"$in": apart}}]})


def add(
    database: Database[Document], fix: Document, error: OperationFailure, max_fixes: int
) -> None:
    """Put the minute of a raw fix into quarantine because its fold fails with `error`."""
    minute_id = fix.get("minute_id")
    is_well_formed = ids.is_minute_id(minute_id)
    reason = "a document of it is malformed"
    if is_well_formed and error.code in _TOO_MANY:
        reason = f"it has more than {max_fixes:,} fixes"
    entry = {
        "minute_id": minute_id,
        "user_id": fix.get("user_id"),
        "reason": reason,
        "since": times.utc_now(),
    }
    update = {"$setOnInsert": entry}
    if quarantined(database).update_one({"_id": str(minute_id)}, update, upsert=True).upserted_id:
        start = ids.start_of(str(minute_id)) if is_well_formed else "without a valid id"
        _log.error(
            "one user's minute %s is in quarantine: %s. All others are folded; "
            "`locctl status` names it.",
            start,
            reason,
        )


def entries(database: Database[Document]) -> Iterator[Quarantined]:
    """Yield the minutes in quarantine, in the order of their ids."""
    yield from quarantined(database).find().sort("_id", 1)


def describe(entry: Quarantined) -> str:
    """Return a minute and why it is in quarantine, in a few words."""
    minute = entry["_id"].rpartition("\t")[2]
    return f"{minute} of user {entry['user_id']} ({entry['reason']})"


def is_in(database: Database[Document], entry: Quarantined) -> bool:
    """Return whether this minute is in quarantine."""
    return quarantined(database).find_one({"_id": entry["_id"]}) is not None


def release(database: Database[Document], entry: Quarantined) -> None:
    """Take a minute out of quarantine; fold its raw fixes afterwards."""
    quarantined(database).delete_one({"_id": entry["_id"]})


def release_user(database: Database[Document], user_id: str) -> None:
    """Take all minutes of a user out of quarantine."""
    database[QUARANTINE].delete_many({"user_id": user_id})
