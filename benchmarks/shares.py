"""Fixes folded a second by one, two and four roll-ups that share the slices."""

import time
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

from pymongo.database import Database

from benchmarks import raw
from benchmarks.harness import Row, interleave
from benchmarks.serving import scratch
from locapi import mongo, rollup
from locapi.mongo import MINUTES, WATERMARKS, Document
from locapi.settings import Settings
from locapi.shares import Watcher

USERS = 400
COUNT = 100_000
ROUNDS = 2
PROCESSES = (1, 2, 4)


def measure() -> list[Row]:
    """Return fixes a second, each process folding one window at a time, as on a core of its own.

    In use each folds two at a time, so that a single one uses two cores of the database.
    """
    with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
        mongo.prepare(database)
        raw.receive(database, raw.arriving(USERS, COUNT, 1))
        rates = interleave(
            {str(count): partial(_rate, database, home.uri, count) for count in PROCESSES}, ROUNDS
        )
    one, *more = PROCESSES
    alone = Row(f"{COUNT:,} new fixes, one roll-up", "a second", rates[str(one)])
    return [
        alone,
        *(Row(f"shared by {count}", "a second", rates[str(count)], alone) for count in more),
    ]


def _rate(database: Database[Document], uri: str, count: int) -> float:
    for name in (MINUTES, WATERMARKS):
        database.drop_collection(name)
    mongo.prepare(database)
    processes = get_context("spawn")
    barrier = processes.Barrier(count + 1)
    rollups = [processes.Process(target=_roll_up, args=(uri, barrier)) for _ in range(count)]
    for process in rollups:
        process.start()
    barrier.wait()  # all live
    barrier.wait()  # each knows its share
    start = time.perf_counter()
    for process in rollups:
        process.join()
    seconds = time.perf_counter() - start
    (found,) = database[MINUTES].aggregate([{"$group": {"_id": None, "n": {"$sum": "$count"}}}])
    if found["n"] != COUNT:
        raise RuntimeError(f"the minutes count {found['n']:,} fixes, not {COUNT:,}")
    return COUNT / seconds


def _roll_up(uri: str, barrier: Barrier) -> None:
    rollup._WINDOWS_AT_ONCE = 1
    with mongo.open_database(Settings(mongodb_uri=uri)) as database:
        watcher = Watcher(database)
        watcher.share()
        barrier.wait()
        share = watcher.share()
        barrier.wait()
        rollup.roll_up(database, share, watcher.keep)
