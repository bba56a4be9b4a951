"""Write all that is stored to a file, while fixes go on arriving.

The raw fixes are read before the minutes: what a prune deletes meanwhile is in its
minute by then. So together they hold every fix that was stored when the dump began.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import IO, Any

from bson import Timestamp
from pymongo.database import Database

from locapi import dump_file, mongo, watermarks, windows
from locapi.dump_file import Header
from locapi.errors import Conflict
from locapi.mongo import ERASURES, FIXES, MINUTES, TOKENS, WATERMARKS, Document

# A fix is visible at most some seconds after the time it bears; more costs next to nothing.
OVERLAP = timedelta(minutes=5)


def dump(
    database: Database[Document],
    out: IO[bytes],
    after: Header | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, int]:
    """Write a dump, and return how many documents of each collection it holds.

    With the header of an earlier one, only what that may lack: raw fixes received
    since, and all tokens. `progress` is called with bytes read since it was called
    last. Raises Conflict where a user was erased meanwhile, or where a prune has
    deleted what the later dump should bring: then a whole dump must be made.
    """
    with mongo.translated_errors():
        begun = Timestamp(mongo.settled_time(database), 0)
        header = Header(begun, after and after.begun)
        counts = dump_file.write(out, header, _collections(database, after, progress))
        _refuse_erasures(database, after.begun if after else begun)
        if after:
            _refuse_prunes(database, after.begun)
    return counts


def size(database: Database[Document], after: Header | None = None) -> int:
    """Return about how many bytes `dump` will read, or 0 where that is not known."""
    if after:
        return 0
    with mongo.translated_errors():
        there = database.list_collection_names(filter={"name": {"$in": [FIXES, MINUTES]}})
        return sum(_bytes(database, name) for name in there)


def _bytes(database: Database[Document], name: str) -> int:
    stats = next(database[name].aggregate([{"$collStats": {"storageStats": {}}}]))
    return int(stats["storageStats"]["size"])


def _collections(
    database: Database[Document], after: Header | None, progress: Callable[[int], None]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    def read(name: str, query: Document) -> tuple[str, Iterable[bytes]]:
        return name, _chunks(database, name, query, progress)

    yield read(FIXES, windows.received(_reach(after.begun)) if after else {})
    if after is None:
        yield read(MINUTES, {})
    yield read(TOKENS, {})
    # How far the roll-up has come is not told: it holds by the clock of this database alone.
    yield read(WATERMARKS, {"_id": watermarks.PRUNED})


def _chunks(
    database: Database[Document], name: str, query: Document, progress: Callable[[int], None]
) -> Iterator[bytes]:
    chunks: Any = database[name].find_raw_batches(query)
    for chunk in chunks:
        yield chunk
        progress(len(chunk))


def _reach(begun: Timestamp) -> Timestamp:
    return Timestamp(max(0, begun.time - int(OVERLAP.total_seconds())), 0)


def _refuse_erasures(database: Database[Document], since: Timestamp) -> None:
    last = watermarks.read(database, watermarks.ERASED)
    if database[ERASURES].find_one() or (last is not None and last > since):
        raise Conflict(
            "a user was erased since, and this dump may hold what is to be gone; delete it, "
            "let the erasure end, and make a whole dump"
        )


def _refuse_prunes(database: Database[Document], since: Timestamp) -> None:
    horizon = watermarks.read(database, watermarks.PRUNED)
    if horizon is not None and horizon > since:
        raise Conflict(
            "a prune has deleted raw fixes that came after the first dump; make a whole dump"
        )
