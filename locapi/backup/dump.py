"""Dump the database to a file while fixes keep arriving.

Raw fixes are read before minutes: a fix that is pruned in between is counted by its
minute by then. So a dump holds every fix that was stored when the dump started.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import IO, Any

from bson import Timestamp
from pymongo.database import Database

from locapi.backup import file_format
from locapi.backup.file_format import Header
from locapi.errors import Conflict
from locapi.rollup import watermarks, windows
from locapi.storage import driver_errors, read_points
from locapi.storage.documents import (
    ERASURES,
    FIXES,
    MINUTES,
    QUARANTINE,
    TOKENS,
    WATERMARKS,
    Document,
)

# A fix becomes visible a few seconds after its `received_at` at most. More costs next to nothing.
OVERLAP = timedelta(minutes=5)


def dump(
    database: Database[Document],
    out: IO[bytes],
    base: Header | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, int]:
    """Write a dump and return how many documents of each collection it has.

    With the header of a `base` dump, write only what that one can be missing: raw fixes
    received since it started, and all tokens. `progress` is called with the number of
    bytes read since its last call. Raises Conflict if a user was erased meanwhile, or if
    a prune has deleted fixes received since the base dump: make a full dump then.
    """
    with driver_errors.translated():
        started_at = Timestamp(read_points.majority_read_time(database), 0)
        header = Header(started_at, base and base.started_at)
        counts = file_format.write(out, header, _collections(database, base, progress))
        _check_erasures(database, base.started_at if base else started_at)
        if base:
            _check_prunes(database, base.started_at)
    return counts


def estimate_bytes(database: Database[Document]) -> int:
    """Return about how many bytes a full dump reads."""
    with driver_errors.translated():
        names = database.list_collection_names(filter={"name": {"$in": [FIXES, MINUTES]}})
        return sum(_collection_bytes(database, name) for name in names)


def _collection_bytes(database: Database[Document], name: str) -> int:
    stats = next(database[name].aggregate([{"$collStats": {"storageStats": {}}}]))
    return int(stats["storageStats"]["size"])


def _collections(
    database: Database[Document], base: Header | None, progress: Callable[[int], None]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    def read(name: str, query: Document) -> tuple[str, Iterable[bytes]]:
        return name, _chunks(database, name, query, progress)

    yield read(FIXES, windows.received(_before(base.started_at)) if base else {})
    if base is None:
        yield read(MINUTES, {})
    yield read(TOKENS, {})
    yield read(QUARANTINE, {})
    # The roll-up's own watermark stays behind: it is a time of this database's clock.
    yield read(WATERMARKS, {"_id": watermarks.PRUNED})


def _chunks(
    database: Database[Document], name: str, query: Document, progress: Callable[[int], None]
) -> Iterator[bytes]:
    chunks: Any = database[name].find_raw_batches(query)
    for chunk in chunks:
        yield chunk
        progress(len(chunk))


def _before(started_at: Timestamp) -> Timestamp:
    return Timestamp(max(0, started_at.time - int(OVERLAP.total_seconds())), 0)


def _check_erasures(database: Database[Document], since: Timestamp) -> None:
    last = watermarks.read(database, watermarks.ERASED)
    if database[ERASURES].find_one() or (last is not None and last > since):
        raise Conflict(
            "a user was erased meanwhile, and the dump may hold that user's data. Delete the "
            "dump, wait until `locctl erase` ends, and make a full dump."
        )


def _check_prunes(database: Database[Document], since: Timestamp) -> None:
    horizon = watermarks.read(database, watermarks.PRUNED)
    if horizon is not None and horizon > since:
        raise Conflict(
            "a prune has deleted raw fixes that are not in the first dump. Make a full dump."
        )
