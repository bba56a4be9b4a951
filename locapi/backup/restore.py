"""Restore a dump into a database.

Storing a document again changes nothing, so a restore may be interrupted and repeated,
also into a database that has received fixes since.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import IO, Any

from bson import Timestamp
from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from locapi.backup import checks, differences
from locapi.backup.checks import Batch
from locapi.errors import Conflict
from locapi.fixes import ids
from locapi.rollup.watermarks import BY_SERVER
from locapi.storage import changes, driver_errors, read_points
from locapi.storage.documents import FIXES, MINUTES, QUARANTINE, TOKENS, WATERMARKS, Document

_DUPLICATE_KEY = 11_000
# At most between the clocks of both databases, as erasures wait until the horizon has passed.
_CLOCK_SKEW = timedelta(minutes=1)

# The first pass stores nothing: it checks that the file is complete and each document valid.
# Minutes come before fixes, so a roll-up never folds a fix that its minute already counts.
_PASSES = ((), (MINUTES, TOKENS, WATERMARKS, QUARANTINE), (FIXES,))
PASSES = len(_PASSES)


def restore(
    database: Database[Document],
    file: IO[bytes],
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, int]:
    """Store the documents of a dump; return how many of each collection the dump has.

    The file is read PASSES times; `progress` is called with the number of bytes read
    since its last call. Raises UnreadableFile, before anything is stored, and Conflict if
    the database has a different fix of the same key or a minute without all of the dump's,
    or if the horizon of the dump lies in the future.
    """
    with driver_errors.translated():
        latest = Timestamp(read_points.majority_read_time(database) + _CLOCK_SKEW, 0)
    counts: dict[str, int] = {}
    for names in _PASSES:
        for name, batch in checks.batches(file, progress):
            if not names and name == WATERMARKS:
                _check_horizon(batch, latest)
            if name in names:
                with driver_errors.translated():
                    _STORE[name](database, batch)
                counts[name] = counts.get(name, 0) + len(batch)
    return counts


def _check_horizon(batch: Batch, latest: Timestamp) -> None:
    for watermark in batch:
        if watermark["received_at"] > latest:
            horizon = f"{watermark['received_at'].as_datetime():%Y-%m-%d %H:%M} UTC"
            raise Conflict(
                f"the horizon of the dump's last prune is {horizon}, which is later than the "
                "database's clock. Set the clocks right."
            )


def _store_fixes(database: Database[Document], batch: Batch) -> None:
    # MongoDB marks them as received now, so no watermark has passed them.
    found = _insert(database, FIXES, [{**fix, "received_at": BY_SERVER} for fix in batch])
    for fix in batch:
        if not differences.is_same_fix(found.get(fix["_id"], fix), fix):
            raise _conflict("fix", fix)


def _store_minutes(database: Database[Document], batch: Batch) -> None:
    with changes.marked(database) as mark:
        found = _insert(database, MINUTES, [{**minute, "changed_at": mark} for minute in batch])
    for minute in batch:
        if not set(found.get(minute["_id"], minute)["seen"]) >= set(minute["seen"]):
            raise _conflict("minute", minute)


def _insert(database: Database[Document], name: str, batch: Sequence[Any]) -> dict[Any, Document]:
    """Insert documents; return by key those that the database already has."""
    try:
        database[name].insert_many(batch, ordered=False)
    except BulkWriteError as error:
        errors = error.details["writeErrors"]
        if any(each["code"] != _DUPLICATE_KEY for each in errors):
            raise
        return differences.find(database, name, [batch[each["index"]]["_id"] for each in errors])
    return {}


def _store_tokens(database: Database[Document], batch: Batch) -> None:
    database[TOKENS].bulk_write([_token_update(token) for token in batch], ordered=False)


def _token_update(token: Document) -> UpdateOne:
    """Return the upsert of a token; a token that is revoked on either side stays revoked."""
    # A user's name may begin with $, which an expression would take for the name of a field.
    fields = {name: {"$literal": value} for name, value in token.items() if name != "_id"}
    revoked_at = {"$ifNull": ["$revoked_at", fields["revoked_at"]]}
    update = [{"$set": {**fields, "revoked_at": revoked_at}}]
    return UpdateOne({"_id": token["_id"]}, update, upsert=True)


def _store_watermarks(database: Database[Document], batch: Batch) -> None:
    for watermark in batch:
        database[WATERMARKS].update_one(
            {"_id": watermark["_id"]},
            {"$max": {"received_at": watermark["received_at"]}},
            upsert=True,
        )


def _store_quarantined(database: Database[Document], batch: Batch) -> None:
    # A malformed minute id needs no quarantine: it was recomputed from the fix.
    _insert(database, QUARANTINE, [each for each in batch if ids.is_minute_id(each["_id"])])


_STORE: dict[str, Callable[[Database[Document], Batch], None]] = {
    FIXES: _store_fixes,
    MINUTES: _store_minutes,
    TOKENS: _store_tokens,
    WATERMARKS: _store_watermarks,
    QUARANTINE: _store_quarantined,
}


def _conflict(kind: str, document: Document) -> Conflict:
    user_id, time = document["_id"].split("\t")
    return Conflict(
        f"the database already has a different {kind} of user {user_id} at {time}. Restore into "
        "an empty database, or one that this dump was restored into before."
    )
