"""Fixes folded a second by one, two and four roll-ups that share the slices."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest import mock

from pymongo.database import Database

from benchmarks import raw
from benchmarks.harness import Row, interleave
from benchmarks.serving import scratch
from locapi.rollup import fold
from locapi.rollup.leases import RollupLease
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import MINUTES, WATERMARKS, Document

USERS = 400
COUNT = 100_000
ROUNDS = 3
ROLL_UPS = (1, 2, 4)


def measure() -> list[Row]:
    """Return fixes a second, each roll-up folding one window at a time, as on a core of its own.

    In use each folds two at a time, so that a single one uses two cores of the database.
    They are threads here: a roll-up does next to nothing itself.
    """
    with (
        scratch() as home,
        mongo.open_database(Settings(mongodb_uri=home.uri)) as database,
        mock.patch.object(fold, "_WINDOWS_AT_ONCE", 1),
    ):
        migrate.prepare(database)
        raw.receive(database, raw.arriving(USERS, COUNT, 1))
        rates = interleave(
            {str(count): partial(_rate, database, count) for count in ROLL_UPS}, ROUNDS
        )
    one, *more = ROLL_UPS
    alone = Row(f"{COUNT:,} new fixes, one roll-up", "a second", rates[str(one)])
    return [
        alone,
        *(Row(f"shared by {count}", "a second", rates[str(count)], alone) for count in more),
    ]


def _rate(database: Database[Document], count: int) -> float:
    for name in (MINUTES, WATERMARKS):
        database.drop_collection(name)
    migrate.prepare(database)
    leases = [RollupLease(database) for _ in range(count)]
    for lease in leases:
        lease.slices()  # so that each knows of all
    with ThreadPoolExecutor(count) as threads:
        start = time.perf_counter()
        list(threads.map(lambda each: fold.fold_new_fixes(database, each.slices()), leases))
        seconds = time.perf_counter() - start
    (found,) = database[MINUTES].aggregate([{"$group": {"_id": None, "n": {"$sum": "$count"}}}])
    if found["n"] != COUNT:
        raise RuntimeError(f"the minutes count {found['n']:,} fixes, not {COUNT:,}")
    return COUNT / seconds
