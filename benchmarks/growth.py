"""Measure roll-ups and PUTs beside 10 million raw fixes: `python -m benchmarks growth`."""

import time
from contextlib import ExitStack
from functools import partial
from itertools import count

import click
from pymongo.database import Database

from benchmarks import raw
from benchmarks.harness import Row, Target, interleave
from benchmarks.load import STORED, drive
from benchmarks.serving import LOCCTL_SERVE, Scratch, scratch, serving
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import MINUTES, Document

SMALL, LARGE = 100_000, 10_000_000
USERS = 1_000
RHYTHM_S = 6  # ten fixes a minute
NEW = 10_000
_SETTLED_S = 11  # beyond the roll-up's margin, so that it reads only what is new

_numbers = count()


def measure() -> list[Row]:
    """Return the time of a roll-up of few new fixes, and PUTs a second, beside much and little."""
    with ExitStack() as opened:
        homes = {fixes: opened.enter_context(scratch()) for fixes in (SMALL, LARGE)}
        for fixes, home in homes.items():
            _fill(home, fixes)
        return [*_roll_ups(homes), *_puts(homes[LARGE])]


def _fill(home: Scratch, fixes: int) -> None:
    with mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
        migrate.prepare(database)
        start = time.perf_counter()
        raw.receive(database, raw.arriving(USERS, fixes, RHYTHM_S))
        click.echo(f"  {fixes:,} fixes in {time.perf_counter() - start:,.0f} s", err=True)
        start = time.perf_counter()
        fold_new_fixes(database)
        minutes = database[MINUTES].estimated_document_count()
        seconds = time.perf_counter() - start
        click.echo(f"  rolled up into {minutes:,} minutes in {seconds:,.0f} s", err=True)


def _roll_ups(homes: dict[int, Scratch]) -> list[Row]:
    with ExitStack() as opened:
        databases = {
            fixes: opened.enter_context(mongo.open_database(Settings(mongodb_uri=home.uri)))
            for fixes, home in homes.items()
        }
        times = interleave(
            {f"{fixes:,} there": partial(_timed, data) for fixes, data in databases.items()}
        )
    small, large = (
        Row(f"roll-up of {NEW:,} new fixes, {name}", "ms", samples)
        for name, samples in times.items()
    )
    return [Row(large.what, large.unit, large.samples, small, Target(at_most=1.2)), small]


def _timed(database: Database[Document]) -> float:
    time.sleep(_SETTLED_S)
    fold_new_fixes(database)
    users = 100
    run = f"new{next(_numbers)}"
    for user in range(users):
        raw.receive(database, raw.track(f"{run}-{user}", NEW // users, RHYTHM_S))
    start = time.perf_counter()
    fold_new_fixes(database)
    seconds = time.perf_counter() - start
    counted = database[MINUTES].aggregate(
        [
            {"$match": {"_id": {"$gte": run + "-", "$lt": run + "."}}},
            {"$group": {"_id": None, "n": {"$sum": "$count"}}},
        ]
    )
    if [each["n"] for each in counted] != [NEW]:
        raise RuntimeError("the new fixes are not counted")
    return seconds * 1000


def _puts(large: Scratch) -> list[Row]:
    with scratch() as empty:
        rates = interleave(
            {
                "nothing": partial(_rate, empty),
                "much": partial(_rate, large),
            }
        )
    nothing = Row("PUT into an empty database, 32 connections", "a second", rates["nothing"])
    label = f"PUT beside {LARGE:,} raw fixes, 32 connections"
    return [Row(label, "a second", rates["much"], nothing, Target(at_least=0.9)), nothing]


def _rate(home: Scratch) -> float:
    with serving(LOCCTL_SERVE, home) as api:
        return drive(api.port, STORED).rate
