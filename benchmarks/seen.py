"""Measure the cost of `seen`: the size of a minute and the time of a fold as a minute fills."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import bson
from pymongo.database import Database

from benchmarks.harness import ROUNDS, Row
from benchmarks.serving import scratch
from locapi.fixes import ids
from locapi.rollup.fold import fold_fixes
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import FIXES, MINUTES, Document

FILLED = (1, 60, 600, 6_000, 58_000)
ADDED = 60
MINUTE = datetime(2017, 7, 30, 4, 18, tzinfo=UTC)
UTC_OFFSET = -14_400


def measure() -> list[Row]:
    """Return bytes a minute, bytes a fix of them, and the milliseconds to fold some fixes more."""
    rows = []
    for filled in FILLED:
        with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
            migrate.prepare(database)
            size, times = _fill(database, filled)
        seen = f"with {filled:,} fixes"
        rows += [
            Row(f"a minute {seen}", "bytes", [size]),
            Row(f"the same, a fix {seen}", "bytes", [size / filled]),
            Row(f"fold {ADDED} fixes into a minute {seen}", "ms", times),
        ]
    return rows


def _fill(database: Database[Document], filled: int) -> tuple[int, list[float]]:
    fixes = list(_fixes(filled + ADDED * (ROUNDS + 1)))
    database[FIXES].insert_many(fixes)
    fix_ids = [fix["_id"] for fix in fixes]
    fold_fixes(database, fix_ids[:filled])
    size = len(bson.encode(database[MINUTES].find_one() or {}))
    times = []
    for first in range(filled, len(fix_ids), ADDED):
        start = time.perf_counter()
        fold_fixes(database, fix_ids[first : first + ADDED])
        times.append((time.perf_counter() - start) * 1000)
    return size, times[1:]


def _fixes(count: int) -> Iterator[Document]:
    wall = (MINUTE + timedelta(seconds=UTC_OFFSET)).replace(tzinfo=None)
    for ms in range(count):
        offset = timedelta(milliseconds=ms)
        yield {
            "_id": ids.fix_id("a1", wall + offset),
            "minute_id": ids.minute_id("a1", MINUTE),
            "seen_code": ids.seen_code(MINUTE + offset, UTC_OFFSET),
            "lat": 40.0,
            "long": -74.0,
            "accuracy": 5.0,
            "speed": 1.0,
        }
