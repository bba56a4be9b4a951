"""An operation that crashes before or after any of its commands is completed by the next."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from threading import Barrier

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from locapi.errors import DatabaseUnavailable
from locapi.ingest.store import FixStore
from locapi.rollup import erase, fold, prune
from locapi.rollup.leases import RollupLease
from locapi.rollup.verify import Report, verify
from locapi.settings import Settings
from locapi.storage import embedded, migrate, mongo
from locapi.storage.documents import Document
from tests.support import crashing, memory
from tests.support.crashing import (
    FOLDED,
    NEW,
    NOW,
    PRUNED,
    Crash,
    Crasher,
    Operation,
    Scene,
    as_fix,
    assert_all_is_well,
    crash,
    fix,
    received_earlier,
)
from tests.support.depth import moments, share
from tests.support.processes import is_running, until
from tests.support.reference import Reference, Sent

pytestmark = pytest.mark.usefixtures("no_wait")


def damage(db: Database[Document]) -> None:
    """Make one minute wrong, and lose another."""
    db.minutes.update_one({"_id": "a\t2017-01-01T18:06"}, {"$set": {"lat": 40.35}})
    db.minutes.delete_one({"_id": "b\t2017-01-01T18:07"})


@dataclass(frozen=True)
class Case:
    """An operation, what it changes in the reference, and what it needs besides the scene."""

    run: Operation
    change: Callable[[Reference], object] = lambda _: None
    prepare: Operation = lambda _: None


LATE = fix("11-05 01:40:00")  # in a repeated hour, for which a put sends all its commands
CASES = {
    "roll_up": Case(fold.fold_new_fixes),
    # The lease of the one that crashed stays, so the next one has only half of the slices.
    "watch": Case(lambda db: fold.fold_new_fixes(db, RollupLease(db).slices())),
    "prune": Case(
        lambda db: prune.prune(db, timedelta(0)),
        change=lambda reference: reference.prune(list(reference.raw)),
        prepare=lambda db: received_earlier(db, "fixes"),
    ),
    "erase": Case(lambda db: erase.erase(db, "a"), change=lambda reference: reference.erase("a")),
    "repair": Case(lambda db: list(verify(db, Report(), repair=True)), prepare=damage),
    "put": Case(
        lambda db: FixStore(db, lambda: NOW).put(as_fix(LATE)),
        change=lambda reference: reference.put(LATE),
    ),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", CASES)
def test_an_operation_that_crashed_at_any_command_is_completed_by_the_next(
    db: Database[Document], mongodb_uri: str, name: str, after: bool
) -> None:
    case, scene = CASES[name], Scene.play(db)
    with crashing.crashing(mongodb_uri, db) as (client, crasher):
        for command in moments(f"{name} {after}"):
            reference = scene.set(db)
            case.prepare(db)
            with crasher.at(command, after=after, end=crash), suppress(Crash):
                case.run(client)
            if not crasher.reached:
                break
            case.run(db)
            case.change(reference)
            assert_all_is_well(db, reference)
        assert 4 < len(crasher.sent) <= command


@pytest.mark.parametrize("same_process", [True, False], ids=["same process", "another process"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "sent",
    [
        fix("01-01 13:05:07"),
        replace(FOLDED[0], lat=40.9),
        replace(NEW[0], lat=40.9),
        replace(PRUNED[0], lat=40.9),
        replace(PRUNED[2], lat=40.9),
        LATE,
    ],
    ids=["new", "folded", "not folded", "pruned", "pruned in the repeated hour", "repeated hour"],
)
def test_a_put_that_crashed_at_any_command_may_be_repeated(
    db: Database[Document], mongodb_uri: str, sent: Sent, after: bool, same_process: bool
) -> None:
    scene = Scene.play(db)
    with crashing.crashing(mongodb_uri, db) as (client, crasher):
        for command in moments(f"{sent} {after} {same_process}"):
            reference = scene.set(db)
            store = FixStore(client, lambda: NOW)
            with crasher.at(command, after=after, end=crash), suppress(Crash):
                store.put(as_fix(sent))
            if not crasher.reached:
                break
            again = store if same_process else FixStore(db, lambda: NOW)
            again.put(as_fix(sent))
            reference.put(sent)
            assert_all_is_well(db, reference)
        assert 3 < len(crasher.sent) <= command


Moment = tuple[str, int]


def kill(home: Path) -> None:
    pid = int((home / "mongod.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_running(pid))


def commands(uri: str, db: Database[Document], scene: Scene) -> Iterator[Moment]:
    """Yield each case with the numbers of a share of its commands, and of one beyond."""
    with crashing.crashing(uri, db) as (client, listener):
        for name, case in CASES.items():
            scene.set(db)
            case.prepare(db)
            with listener.at(0, after=False, end=lambda: None):
                case.run(client)
            last = len(listener.sent)
            yield from ((name, each) for each in range(last)[share(f"kill {name}", 8)])
            yield name, last


def run_until_killed(uri: str, database: str, moment: Moment, barrier: Barrier) -> bool:
    """Run a case; return whether it ended before the kill."""
    name, command = moment
    crasher, wait, finished = Crasher(), cache(barrier.wait), False
    with MongoClient[Document](
        uri, tz_aware=True, event_listeners=[crasher], serverSelectionTimeoutMS=500
    ) as client:
        durable = WriteConcern(w="majority", j=True)
        db = client.get_database(database, None, None, durable, ReadConcern("majority"))
        with crasher.at(command, after=False, end=wait), suppress(DatabaseUnavailable):
            CASES[name].run(db)
            finished = True
        wait()
    return finished


def kill_at(home: Path, uri: str, scene: Scene, moments: dict[str, Moment]) -> None:
    """Kill mongod once each database's case is at its command, and check what is left."""
    references = {}
    for database, (name, _) in moments.items():
        with mongo.open_database(Settings(mongodb_uri=uri, database=database)) as db:
            migrate.prepare(db)
            references[database] = scene.set(db)
            CASES[name].prepare(db)
    barrier = Barrier(len(moments), action=partial(kill, home), timeout=60)
    with ThreadPoolExecutor(len(moments)) as threads:
        jobs = {
            database: threads.submit(run_until_killed, uri, database, moment, barrier)
            for database, moment in moments.items()
        }
    with embedded.mongod(home):
        for database, (name, _) in moments.items():
            with mongo.open_database(Settings(mongodb_uri=uri, database=database)) as db:
                if not jobs[database].result():
                    CASES[name].run(db)
                CASES[name].change(references[database])
                assert_all_is_well(db, references[database])


def test_a_database_that_is_killed_before_any_command_loses_nothing() -> None:
    """Many cases run at once, each in its own database, so that one kill is enough for all."""
    with memory.directory() as home, embedded.mongod(home) as uri:
        with mongo.open_database(Settings(mongodb_uri=uri, database="scene")) as db:
            scene = Scene.play(db)
            moments = list(commands(uri, db, scene))
        for first in range(0, len(moments), 20):
            some = moments[first : first + 20]
            kill_at(home, uri, scene, {f"case_{i}": moment for i, moment in enumerate(some)})
    assert {name for name, _ in moments} == set(CASES)
