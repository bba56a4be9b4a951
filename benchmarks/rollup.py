"""Measure raw fixes folded a second, against an aggregation that is not exact."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

from bson import Timestamp
from pymongo.database import Database

from benchmarks import raw
from benchmarks.harness import Row, Target, interleave
from benchmarks.peers import average
from benchmarks.serving import scratch
from locapi.rollup import windows
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import FIXES, MINUTES, WATERMARKS, Document

USERS = 100
# Seconds between two fixes of a user, how many are folded, and the least ratios, new and joining.
RHYTHMS = ((1, 1_000_000, 1.2, 0.4), (10, 200_000, 0.9, 0.4))
_STATE = (MINUTES, WATERMARKS, average.MINUTES)

Fold = Callable[[Database[Document]], object]


def measure() -> list[Row]:
    """Return fixes folded a second, into new minutes and into those that half of them made."""
    rows: list[Row] = []
    for rhythm_s, fixes, least_new, least_joining in RHYTHMS:
        kind = f"{60 // rhythm_s} a minute"
        new, joining = Target(at_least=least_new), Target(at_least=least_joining)
        with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
            rows += _new(database, fixes, rhythm_s, f"{fixes:,} new fixes, {kind}", new)
        with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
            half = fixes // 4
            rows += _joining(database, half, rhythm_s, f"{half:,} joining fixes, {kind}", joining)
    return rows


def _new(
    database: Database[Document], fixes: int, rhythm_s: int, label: str, target: Target | None
) -> list[Row]:
    migrate.prepare(database)
    raw.receive(database, raw.arriving(USERS, fixes, rhythm_s))

    def measured(fold: Fold, minutes: str) -> float:
        for name in _STATE:
            database.drop_collection(name)
        migrate.prepare(database)
        return _rate(database, fold, minutes, fixes, fixes)

    rates = interleave(
        {
            "exact": partial(measured, fold_new_fixes, MINUTES),
            "average": partial(measured, partial(_average, Timestamp(0, 0)), average.MINUTES),
        }
    )
    return _beside(label, rates, target)


def _joining(
    database: Database[Document], fixes: int, rhythm_s: int, label: str, target: Target | None
) -> list[Row]:
    """Fold every second fix of each minute, the others folded an hour ago."""
    migrate.prepare(database)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    every = raw.arriving(USERS, 2 * fixes, rhythm_s)
    rounds = iter(lambda: list(islice(every, USERS)), [])
    first: list[Document] = []
    second: list[Document] = []
    for number, together in enumerate(rounds):
        (second if number % 2 else first).extend(together)
    raw.receive(database, ({**each, "received_at": Timestamp(hour_ago, 0)} for each in first))
    fold_new_fixes(database)
    _average(Timestamp(0, 0), database)
    for name in _STATE:
        raw.copy(database, name, f"first_{name}")
    raw.receive(database, iter(second))
    later = Timestamp(hour_ago + timedelta(minutes=30), 0)

    def measured(fold: Fold, minutes: str, counted: int) -> float:
        for name in _STATE:
            raw.copy(database, f"first_{name}", name)
        migrate.prepare(database)
        return _rate(database, fold, minutes, fixes, counted)

    rates = interleave(
        {
            "exact": partial(measured, fold_new_fixes, MINUTES, 2 * fixes),
            "average": partial(measured, partial(_average, later), average.MINUTES, fixes),
        }
    )
    return _beside(label, rates, target)


def _average(since: Timestamp, database: Database[Document]) -> None:
    pipeline = average.pipeline(windows.received(since))
    database[FIXES].aggregate(pipeline, allowDiskUse=True)


def _rate(
    database: Database[Document], fold: Fold, minutes: str, fixes: int, counted: int
) -> float:
    start = time.perf_counter()
    fold(database)
    seconds = time.perf_counter() - start
    (found,) = database[minutes].aggregate([{"$group": {"_id": None, "n": {"$sum": "$count"}}}])
    if found["n"] != counted:
        raise RuntimeError(f"{minutes} count {found['n']:,} fixes, not {counted:,}")
    return fixes / seconds


def _beside(label: str, rates: dict[str, list[float]], target: Target | None) -> list[Row]:
    peer = Row(f"`$avg` and replace: {label}", "a second", rates["average"])
    return [Row(f"roll-up: {label}", "a second", rates["exact"], peer, target), peer]
