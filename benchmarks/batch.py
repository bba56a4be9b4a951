"""Measure fixes stored a second by `POST /locations`, against PUT and a bare `insert_many`."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks import raw
from benchmarks.harness import Row, Target, interleave
from benchmarks.load import STORED, drive
from benchmarks.serving import LOCCTL_SERVE, Scratch, scratch, serving
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import FIXES, Document

SIZES = (1, 10, 100, 1_000)
CONNECTIONS = 32
_BARE_FIXES = 50_000
_BARE_BATCH = 1_000
_TARGETS = {100: (Target(at_least=6), Target(at_least=0.25))}


def measure() -> list[Row]:
    """Return fixes a second on 2 workers, by the number of fixes in a request."""
    with scratch() as home, serving(LOCCTL_SERVE, home) as server:
        variants: dict[str, Callable[[], float]] = {
            "PUT": partial(_rate, server.port, None),
            **{str(size): partial(_rate, server.port, size) for size in SIZES},
            "bare": partial(_insert_many, home, list(raw.arriving(100, _BARE_FIXES, 1))),
        }
        rates = interleave(variants)
    put = Row(f"PUT, {CONNECTIONS} connections", "a second", rates["PUT"])
    bare = Row(f"bare insert_many of {_BARE_BATCH:,}", "a second", rates["bare"])
    rows = [put, bare]
    for size in SIZES:
        beside_put, beside_bare = _TARGETS.get(size, (None, None))
        what = f"fixes in batches of {size:,}, {CONNECTIONS} connections"
        rows.append(Row(what, "a second", rates[str(size)], put, beside_put))
        rows.append(Row(what, "a second", rates[str(size)], bare, beside_bare))
    return rows


def _rate(port: int, size: int | None) -> float:
    return drive(port, STORED, CONNECTIONS, batch=size).rate * (size or 1)


def _insert_many(home: Scratch, documents: Sequence[Document]) -> float:
    """Insert raw fixes that are ready, by one client, with the same write concern."""
    settings = Settings(mongodb_uri=home.uri, database="bare")
    with mongo.open_database(settings) as database:
        migrate.prepare(database)
        start = time.perf_counter()
        for first in range(0, len(documents), _BARE_BATCH):
            batch = documents[first : first + _BARE_BATCH]
            database[FIXES].insert_many(batch, ordered=False)
        seconds = time.perf_counter() - start
        database.client.drop_database(database.name)
    return len(documents) / seconds
