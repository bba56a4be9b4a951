"""Store what a dump holds, and check that it is there.

Each document stands for itself and comes to the same whenever it is stored: so a
restore may be cut off and done again, also into a database that has gone on since.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import IO, Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from locapi import dump_file, keys, mongo
from locapi.errors import Conflict
from locapi.mongo import FIXES, MINUTES, TOKENS, WATERMARKS, Document
from locapi.watermarks import BY_SERVER

_BATCH = 2_000
_DUPLICATE_KEY = 11_000

Batch = list[RawBSONDocument]


def restore(
    database: Database[Document],
    file: IO[bytes],
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, int]:
    """Store a dump's documents; return how many of each collection it had.

    `progress` is called with bytes of the file read since it was called last; it is
    read twice. Raises Conflict where the database holds another fix of the same key,
    or a minute that lacks fixes which the dump's counts, and UnreadableFile.
    """
    counts: dict[str, int] = {}
    # The minutes before the fixes: so a roll-up finds all that they count already.
    for wanted in ((MINUTES, TOKENS, WATERMARKS), (FIXES,)):
        for name, batch in _batches(file, progress):
            if name in wanted:
                with mongo.translated_errors():
                    _RESTORE[name](database, batch)
                counts[name] = counts.get(name, 0) + len(batch)
    return counts


def _batches(file: IO[bytes], progress: Callable[[int], None]) -> Iterator[tuple[str, Batch]]:
    """Yield a dump's documents by batches, each of one collection."""
    file.seek(0)
    at = 0
    for name, group in groupby(dump_file.read(file), itemgetter(0)):
        documents = map(itemgetter(1), group)
        while batch := list(islice(documents, _BATCH)):
            yield name, batch
            progress(file.tell() - at)
            at = file.tell()


def _fixes(database: Database[Document], batch: Batch) -> None:
    there = _insert(database, FIXES, [_received(fix) for fix in batch])
    for fix in batch:
        if not _same_fix(there.get(fix["_id"], fix), fix):
            raise _conflict("another fix of the same user and timestamp")


def _minutes(database: Database[Document], batch: Batch) -> None:
    there = _insert(database, MINUTES, batch)
    for minute in batch:
        if not _at_least(there.get(minute["_id"], minute), minute):
            raise _conflict("a minute of other fixes")


def _received(fix: RawBSONDocument) -> Document:
    """Return a fix as received now, by this database's clock: so no roll-up is past it."""
    return {
        **bson.decode(fix.raw),
        "received_at": BY_SERVER,
        "slice": keys.slice_of(fix["user_id"]),
    }


def _insert(
    database: Database[Document], name: str, batch: Sequence[Any]
) -> dict[str, RawBSONDocument]:
    """Insert documents; return those that are there in the place of some of them."""
    try:
        database[name].insert_many(batch, ordered=False)
    except BulkWriteError as error:
        errors = error.details["writeErrors"]
        if any(each["code"] != _DUPLICATE_KEY for each in errors):
            raise
        return _raw(database, name, [batch[each["index"]]["_id"] for each in errors])
    return {}


def _tokens(database: Database[Document], batch: Batch) -> None:
    database[TOKENS].bulk_write([_token(token) for token in batch], ordered=False)


def _token(token: RawBSONDocument) -> UpdateOne:
    # Revoked is revoked, wherever it was.
    fields = {name: value for name, value in token.items() if name not in ("_id", "revoked_at")}
    first = {"$ifNull": ["$revoked_at", token["revoked_at"]]}
    return UpdateOne(
        {"_id": token["_id"]}, [{"$set": {**fields, "revoked_at": first}}], upsert=True
    )


def _watermarks(database: Database[Document], batch: Batch) -> None:
    for watermark in batch:
        database[WATERMARKS].update_one(
            {"_id": watermark["_id"]},
            {"$max": {"received_at": watermark["received_at"]}},
            upsert=True,
        )


_RESTORE: dict[str, Callable[[Database[Document], Batch], None]] = {
    FIXES: _fixes,
    MINUTES: _minutes,
    TOKENS: _tokens,
    WATERMARKS: _watermarks,
}


def missing(
    database: Database[Document],
    file: IO[bytes],
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[str]:
    """Yield what of a dump the database lacks or holds otherwise: the key, a tab, what is wrong.

    A fix that has been pruned since is there if its minute counts it; a minute that
    counts more fixes by now is there too.
    """
    for name, batch in _batches(file, progress):
        with mongo.translated_errors():
            found = _raw(database, name, [document["_id"] for document in batch])
            gone = [document for document in batch if document["_id"] not in found]
            if name == FIXES:
                gone = _uncounted(database, gone)
        yield from (f"{document['_id']}\tmissing in {name}" for document in gone)
        for document in batch:
            if not _HOLDS[name](found.get(document["_id"], document), document):
                yield f"{document['_id']}\tanother one in {name}"


def _raw(database: Database[Document], name: str, ids: list[Any]) -> dict[Any, RawBSONDocument]:
    options: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
    found: Any = database.get_collection(name, options).find({"_id": {"$in": ids}})
    return {document["_id"]: document for document in found}


def _uncounted(database: Database[Document], fixes: Batch) -> Batch:
    minutes = database[MINUTES].find({"_id": {"$in": [fix["minute_id"] for fix in fixes]}})
    counted = {
        keys.seen_fix_id(minute["_id"], mark) for minute in minutes for mark in minute["seen"]
    }
    return [fix for fix in fixes if fix["_id"] not in counted]


def _same_fix(there: RawBSONDocument, dumped: RawBSONDocument) -> bool:
    one, other = (
        {**bson.decode(fix.raw), "received_at": None, "slice": None} for fix in (there, dumped)
    )
    return one == other


def _at_least(there: RawBSONDocument, dumped: RawBSONDocument) -> bool:
    return there.raw == dumped.raw or set(there["seen"]) >= set(dumped["seen"])


_HOLDS: dict[str, Callable[[RawBSONDocument, RawBSONDocument], bool]] = {
    FIXES: _same_fix,
    MINUTES: _at_least,
    TOKENS: lambda there, dumped: there["secret_sha256"] == dumped["secret_sha256"],
    WATERMARKS: lambda there, dumped: there["received_at"] >= dumped["received_at"],
}


def _conflict(what: str) -> Conflict:
    return Conflict(
        f"the database holds {what}; restore into an empty one, "
        "or into the one that this dump was restored to before"
    )
