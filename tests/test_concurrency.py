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

from locapi import erase, prune, rollup, watermarks
from locapi.errors import DatabaseUnavailable
from locapi.fixes import FixStore
from locapi.mongo import Document
from locapi.rollup import roll_up
from locapi.verify import Drift, Report, verify
from tests import crashing
from tests.crashing import (
    NOW,
    Crasher,
    Operation,
    Scene,
    as_fix,
    fix,
    fix_id,
    forget_pruned,
    received_earlier,
    see_all_is_well,
)
from tests.depth import moments
from tests.reference import Reference, Sent, differences

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
            START + timedelta(milliseconds=500 * shuffled.randrange(500)),
            "America/New_York",
            40.7 + shuffled.uniform(-0.01, 0.01),
            -74.0 + shuffled.uniform(-0.01, 0.01),
        )
        for _ in range(300)
    ]
    return fixes + [replace(sent, lat=40.5) for sent in shuffled.sample(fixes, 150)]


def test_all_at_once_is_exact_in_the_end(db: Database[Document]) -> None:
    before = [fix(f"01-01 13:{n // 30:02}:{n % 30:02}", "leaver") for n in range(300)]
    anew = [replace(sent, lat=41.0) for sent in before]
    send(db, before)
    roll_up(db)
    written = Event()
    drifts: list[Drift] = []

    def see_no_drift() -> None:
        found = verify(db, Report())
        drifts.extend(drift for drift in found if not drift.minute_id.startswith("leaver"))

    def until_written(operation: Callable[[], object]) -> None:
        while not written.is_set():
            operation()

    with ThreadPoolExecutor(20) as threads:
        operations = [partial(roll_up, db)] * 8 + [partial(prune.prune, db, ALL)] * 2
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
    roll_up(db)
    reference = Reference()
    assert {reference.put(sent) for sent in [*stored, *anew]} == {"stored"}
    assert differences(db.minutes.find(), reference.minutes()) == []
    assert list(verify(db, Report())) == drifts == []


def repair(db: Database[Document]) -> None:
    list(verify(db, Report(), repair=True))


OPERATIONS: dict[str, Operation] = {
    "roll_up": roll_up,
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


@pytest.fixture
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    crashing.no_wait(monkeypatch)


@contextmanager
def meanwhile(crasher: Crasher, command: int, other: Callable[[], object]) -> Iterator[None]:
    """Run `other` to its end when the client is about to send the command of that number."""
    with ThreadPoolExecutor(1) as thread:
        run = cache(lambda: wait([thread.submit(other)]))
        with crasher.at(command, after=False, end=run):
            yield
        for job in run().done:
            job.result()


@pytest.mark.usefixtures("_no_wait")
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_one_operation_before_any_command_of_another_does_no_harm(
    db: Database[Document], mongodb_uri: str, one: str, other: str
) -> None:
    scene = Scene.play(db)
    hour_ago = watermarks.after(datetime.now(UTC) - timedelta(hours=1))
    with crashing.crashing(mongodb_uri, db) as (client, listener):
        for command in moments(f"{one} {other}"):
            reference = scene.set(db)
            watermarks.write(db, watermarks.PRUNED, hour_ago)
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
            see_all_is_well(db, reference)
            if not listener.reached:
                break


def test_what_is_sent_again_while_its_user_is_erased_counts_as_it_was_sent_then(
    db: Database[Document], mongodb_uri: str
) -> None:
    first = fix("01-01 13:05:01", lat=40.0)
    again = replace(first, lat=41.0)
    with crashing.crashing(mongodb_uri, db) as (client, listener):
        for command in count():
            erase.erase(db, "a")
            send(db, [first])
            roll_up(db)
            with meanwhile(listener, command, partial(send, db, [again])):
                erase.erase(client, "a")
            reference = Reference()
            if db.fixes.find_one({"_id": fix_id(again.key)}):
                reference.put(again)
            see_all_is_well(db, reference)
            if not listener.reached:
                break


@pytest.mark.usefixtures("_no_wait")
def test_the_first_prune_of_all_may_run_beside_a_repair(db: Database[Document]) -> None:
    fixes = [fix(f"01-01 13:{n // 60:02}:{n % 60:02}") for n in range(180)]
    send(db, fixes)
    roll_up(db)
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


def test_a_repeat_whose_put_falls_asleep_while_its_first_copy_is_pruned_counts_once(
    db: Database[Document], mongodb_uri: str
) -> None:
    first, later = fix("11-05 01:30:00"), fix("11-05 03:00:00")
    with crashing.crashing(mongodb_uri, db) as (client, listener):
        store = FixStore(client, lambda: NOW)
        assert [store.put(as_fix(sent)).status for sent in (first, later)] == ["stored"] * 2
        with meanwhile(listener, 0, partial(prune.prune, db, ALL)):
            assert store.put(as_fix(first)).status == "duplicate"
    roll_up(db)
    assert [minute["count"] for minute in db.minutes.find()] == [1, 1]


# After what prepares: the horizon, the raw fix, its minute (which no standalone reads as
# a replica set does), that again, and its other minute.
@pytest.mark.parametrize("command", range(4, 9))
def test_a_repeat_that_is_put_while_its_first_copy_is_folded_and_pruned_counts_once(
    db: Database[Document], mongodb_uri: str, monkeypatch: pytest.MonkeyPatch, command: int
) -> None:
    first, later = fix("11-05 01:30:00"), fix("11-05 03:00:00")
    reference, looked, pruned = Reference(), Event(), Event()
    roll_up(db)
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
        fold_fixes, jobs = rollup.fold_fixes, list[Future[None]]()

        def look_then_fold(*arguments: Any) -> None:
            if not jobs:
                jobs.append(thread.submit(put))
                assert looked.wait(60)
            fold_fixes(*arguments)

        monkeypatch.setattr(rollup, "fold_fixes", look_then_fold)
        try:
            prune.prune(db, ALL)
        finally:
            pruned.set()
        jobs[0].result()
    roll_up(db)
    assert differences(db.minutes.find(), reference.minutes()) == []
