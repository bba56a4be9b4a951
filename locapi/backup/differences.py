"""Compare a database with a dump."""

from collections.abc import Callable, Iterator
from math import isclose
from typing import IO, Any

from bson.codec_options import CodecOptions
from pymongo.database import Database

from locapi.backup import checks
from locapi.backup.checks import Batch
from locapi.fixes import ids
from locapi.storage import driver_errors
from locapi.storage.documents import FIXES, MINUTES, QUARANTINE, TOKENS, WATERMARKS, Document


def find_differences(database: Database[Document], file: IO[bytes]) -> Iterator[str]:
    """Yield a line for each document of a dump that the database is missing or has differently.

    A line is the document's key, a tab and what is wrong. A fix that was pruned since is not
    missing if its minute counts it, a minute may count more fixes than the dump's, and a token
    may be revoked since. Raises UnreadableFile before the first line.
    """
    for _ in checks.batches(file):
        pass
    for name, batch in checks.batches(file):
        with driver_errors.translated():
            found = find(database, name, [document["_id"] for document in batch])
            missing = [document for document in batch if document["_id"] not in found]
            if name == FIXES:
                missing = _without_counted(database, missing)
        yield from (f"{document['_id']}\tmissing in {name}" for document in missing)
        for document in batch:
            if not _MATCHES[name](found.get(document["_id"], document), document):
                yield f"{document['_id']}\tdifferent in {name}"


def find(database: Database[Document], name: str, keys: list[Any]) -> dict[Any, Document]:
    """Return the stored documents with these ids, by id, with times as a dump has them."""
    naive: CodecOptions[Document] = CodecOptions(tz_aware=False)
    found = database.get_collection(name, naive).find({"_id": ids.among(keys)})
    return {document["_id"]: document for document in found}


def _without_counted(database: Database[Document], fixes: Batch) -> Batch:
    """Return the fixes that their minutes do not count."""
    minutes = find(database, MINUTES, [fix["minute_id"] for fix in fixes]) if fixes else {}
    seen = {minute_id: set(minute["seen"]) for minute_id, minute in minutes.items()}
    return [fix for fix in fixes if fix["seen_code"] not in seen.get(fix["minute_id"], ())]


def is_same_fix(stored: Document, dumped: Document) -> bool:
    """Compare all of a fix but when it was received."""
    return {**stored, "received_at": None} == {**dumped, "received_at": None}


def _is_same_minute(stored: Document, dumped: Document) -> bool:
    """Compare all of a minute that counts the same fixes; sums depend on their order."""
    ours, theirs = set(stored["seen"]), set(dumped["seen"])
    if ours != theirs:
        return ours > theirs
    return all(_is_close(stored.get(name), dumped[name]) for name in dumped.keys() - _VARYING)


def _is_close(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return bool(ours == theirs)


def _is_same_token(stored: Document, dumped: Document) -> bool:
    since = {"revoked_at": dumped["revoked_at"]} if stored["revoked_at"] else {}
    return {**stored, **since} == dumped


_VARYING = {"seen", "missing", "changed_at"}
_MATCHES: dict[str, Callable[[Document, Document], bool]] = {
    FIXES: is_same_fix,
    MINUTES: _is_same_minute,
    TOKENS: _is_same_token,
    WATERMARKS: lambda stored, dumped: stored["received_at"] >= dumped["received_at"],
    QUARANTINE: lambda stored, dumped: stored == dumped,
}
