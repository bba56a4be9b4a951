"""What runs at once stays exact: by chance, and before every single command."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import count
from threading import Event
from typing import Any

import pytest
from pymongo.database import Database

from locapi.errors import DatabaseUnavailable
from locapi.ingest.store import FixStore
from locapi.rollup import erase, fold, prune, watermarks
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.verify import Drift, Report, verify
from locapi.storage.documents import Document
from tests.support import crashing
from tests.support.crashing import (
    NOW,
    Crasher,
    Operation,
    Scene,
    as_fix,
    assert_all_is_well,
    fix,
    fix_id,
    forget_pruned,
    received_earlier,
)
from tests.support.depth import moments
from tests.support.reference import Reference, Sent, differences

START = datetime(2017, 1, 1, 13)
ALL = timedelta(0)


def send(db: Database[Document], fixes: list[Sent]) -> list[Sent]:
    """Put fixes as one process does, one after the other, and return those that were stored."""
    store = FixStore(db, lambda: NOW)
    return [sent for sent in fixes if store.put(as_fix(sent)).status == "stored"]


def track(seed: int) -> list[Sent]:
    """Return fixes in disorder: one user's own, and some of a key that every track has."""
    shuffled = random.Random(seed)
    fixes = [
        Sent(
            shuffled.choice([f"own {seed}", "common"]),
            START + timedelta(milliseconds=500 * shuffled.randrange(250)),
            "America/New_York",
            40.7 + shuffled.uniform(-0.01, 0.01),
            -74.0 + shuffled.uniform(-0.01, 0.01),
        )
        for _ in range(150)
    ]
    return fixes + [replace(sent, lat=40.5) for sent in shuffled.sample(fixes, 75)]


def test_concurrent_operations_leave_exact_minutes(db: Database[Document]) -> None:
    before = [fix(f"01-01 13:{n // 30:02}:{n % 30:02}", "leaver") for n in range(150)]
    anew = [replace(sent, lat=41.0) for sent in before]
    send(db, before)
    fold_new_fixes(db)
    written = Event()
    drifts: list[Drift] = []

    def see_no_drift() -> None:
        found = verify(db, Report())
        drifts.extend(drift for drift in found if not drift.minute_id.startswith("leaver"))

    def until_written(operation: Callable[[], object]) -> None:
        while not written.is_set():
            operation()

    with ThreadPoolExecutor(20) as threads:
        operations = [partial(fold_new_fixes, db)] * 8 + [partial(prune.prune, db, ALL)] * 2
        running = [threads.submit(until_written, run) for run in (*operations, see_no_drift)]
        writing = [threads.submit(send, db, track(seed)) for seed in range(4)]
        leaving = threads.submit(send, db, anew)
        try:
            erase.erase(db, "leaver")
            stored = [sent for job in writing for sent in job.result()]
            leaving.result()
            send(db, anew)
        finally:
            written.set()
        for job in running:
            job.result()
    fold_new_fixes(db)
    reference = Reference()
    assert {reference.put(sent) for sent in [*stored, *anew]} == {"stored"}
    assert differences(db.minutes.find(), reference.minutes()) == []
    assert list(verify(db, Report())) == drifts == []


def repair(db: Database[Document]) -> None:
    list(verify(db, Report(), repair=True))


OPERATIONS: dict[str, Operation] = {
    "roll_up": fold_new_fixes,
    "prune": lambda db: prune.prune(db, ALL),
    "prune some": lambda db: prune.prune(db, timedelta(minutes=90)),
    "prune none": lambda db: prune.prune(db, timedelta(days=7)),
    "erase": lambda db: erase.erase(db, "a"),
    "repair": repair,
}
PAIRS = [
    (one, other)
    for one in OPERATIONS
    for other in OPERATIONS
    if {one, other} != {"repair", "erase"}  # the only two that must not meet
    and other != "prune none"  # a roll-up, when nothing can come between
]


@contextmanager
def meanwhile(crasher: Crasher, command: int, other: Callable[[], object]) -> Iterator[None]:
    """Run `other` to its end when the client is about to send the command of that number."""
    with ThreadPoolExecutor(1) as thread:
        run = cache(lambda: wait([thread.submit(other)]))
        with crasher.at(command, after=False, end=run):
            yield
        for job in run().done:
            job.result()


@pytest.mark.usefixtures("no_wait")
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_operations_interleaved_at_any_command_leave_exact_minutes(
    db: Database[Document], mongodb_uri: str, one: str, other: str
) -> None:
    scene = Scene.play(db)
    hour_ago = watermarks.after(datetime.now(UTC) - timedelta(hours=1))
    with crashing.crashing(mongodb_uri, db) as (client, listener):
        for command in moments(f"{one} {other}"):
            reference = scene.set(db)
            watermarks.advance(db, watermarks.PRUNED, hour_ago)
            if "repair" in (one, other):
                received_earlier(db, "fixes")
            with meanwhile(listener, command, partial(OPERATIONS[other], db)):
                OPERATIONS[one](client)
            if one == "repair":
                repair(db)  # for it may have found the fixes of a minute gone, and said so
            if "prune" in (one, other):
                horizon = watermarks.read(db, watermarks.PRUNED)
                assert horizon
                assert horizon.time - hour_ago.time > 1800
            if "erase" in (one, other):
                reference.erase("a")
            forget_pruned(db, reference)
            assert_all_is_well(db, reference)
            if not listener.reached:
                break


def test_fix_repeated_during_an_erasure_counts_as_new(
    db: Database[Document], mongodb_uri: str
) -> None:
    first = fix("01-01 13:05:01", lat=40.0)
    again = replace(first, lat=41.0)
    with crashing.crashing(mongodb_uri, db) as (client, listener):
        for command in count():
            erase.erase(db, "a")
            send(db, [first])
            fold_new_fixes(db)
            with meanwhile(listener, command, partial(send, db, [again])):
                erase.erase(client, "a")
            reference = Reference()
            if db.fixes.find_one({"_id": fix_id(again.key)}):
                reference.put(again)
            assert_all_is_well(db, reference)
            if not listener.reached:
                break


@pytest.mark.usefixtures("no_wait")
def test_the_first_prune_of_all_may_run_beside_a_repair(db: Database[Document]) -> None:
    fixes = [fix(f"01-01 13:{n // 60:02}:{n % 60:02}") for n in range(180)]
    send(db, fixes)
    fold_new_fixes(db)
    received_earlier(db, "fixes")
    db.minutes.update_one({"_id": "a\t2017-01-01T18:00"}, {"$set": {"lat": 1.0}})
    drifts = verify(db, Report(), repair=True)
    assert next(drifts).repaired
    prune.prune(db, ALL)
    assert list(drifts) == []
    reference = Reference()
    for sent in fixes:
        reference.put(sent)
    assert differences(db.minutes.find(), reference.minutes()) == []


def test_repeat_that_pauses_while_its_first_copy_is_pruned_counts_once(
    db: Database[Document], mongodb_uri: str
) -> None:
    first, later = fix("11-05 01:30:00"), fix("11-05 03:00:00")
    with crashing.crashing(mongodb_uri, db) as (client, listener):
        store = FixStore(client, lambda: NOW)
        assert [store.put(as_fix(sent)).status for sent in (first, later)] == ["stored"] * 2
        with meanwhile(listener, 0, partial(prune.prune, db, ALL)):
            assert store.put(as_fix(first)).status == "duplicate"
    fold_new_fixes(db)
    assert [minute["count"] for minute in db.minutes.find()] == [1, 1]


# After the commands that prepare: the horizon, the raw fix, its minutes (which a standalone
# refuses to read as a replica set does), and its minutes again.
@pytest.mark.parametrize("command", range(4, 8))
def test_a_repeat_that_is_put_while_its_first_copy_is_folded_and_pruned_counts_once(
    db: Database[Document], mongodb_uri: str, monkeypatch: pytest.MonkeyPatch, command: int
) -> None:
    first, later = fix("11-05 01:30:00"), fix("11-05 03:00:00")
    reference, looked, pruned = Reference(), Event(), Event()
    fold_new_fixes(db)
    assert [reference.put(sent) for sent in send(db, [first, later])] == ["stored"] * 2
    received_earlier(db, "fixes")  # so that the roll-up passes by, and only the prune folds them

    def wait_for_prune() -> bool:
        looked.set()
        return pruned.wait(60)

    def put() -> None:
        with crashing.crashing(mongodb_uri, db) as (client, listener):
            store = FixStore(client, lambda: NOW)
            with (
                suppress(DatabaseUnavailable),
                listener.at(command, after=True, end=wait_for_prune),
            ):
                store.put(as_fix(first))
        looked.set()  # where it had its answer before that command

    with ThreadPoolExecutor(1) as thread:
        fold_fixes, jobs = fold.fold_fixes, list[Future[None]]()

        def look_then_fold(*arguments: Any) -> None:
            if not jobs:
                jobs.append(thread.submit(put))
                assert looked.wait(60)
            fold_fixes(*arguments)

        monkeypatch.setattr(fold, "fold_fixes", look_then_fold)
        try:
            prune.prune(db, ALL)
        finally:
            pruned.set()
        jobs[0].result()
    fold_new_fixes(db)
    assert differences(db.minutes.find(), reference.minutes()) == []
