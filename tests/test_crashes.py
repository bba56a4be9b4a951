"""What ends before or after any of its database commands is made good by the next."""

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

from locapi import embedded, erase, mongo, prune, rollup
from locapi.errors import DatabaseUnavailable
from locapi.fixes import FixStore
from locapi.mongo import Document
from locapi.settings import Settings
from locapi.shares import Watcher
from locapi.verify import Report, verify
from tests import crashing
from tests.crashing import (
    FOLDED,
    NEW,
    NOW,
    PRUNED,
    Crash,
    Crasher,
    Operation,
    Scene,
    as_fix,
    crash,
    fix,
    received_earlier,
    see_all_is_well,
)
from tests.depth import moments, stride
from tests.reference import Reference, Sent


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    crashing.no_wait(monkeypatch)


def damage(db: Database[Document]) -> None:
    """Leave a minute wrong, and one lost."""
    db.minutes.update_one({"_id": "a\t2017-01-01T18:06"}, {"$set": {"lat": 40.35}})
    db.minutes.delete_one({"_id": "b\t2017-01-01T18:07"})


@dataclass(frozen=True)
class Case:
    """What is ended, what it means to the reference, and what it needs besides the scene."""

    run: Operation
    meaning: Callable[[Reference], object] = lambda _: None
    prepare: Operation = lambda _: None


LATE = fix("11-05 01:40:00")  # in the repeated hour: all commands that a put can need
CASES = {
    "roll_up": Case(rollup.roll_up),
    # Where it ends, its lease stays, and the next one has only half of the slices.
    "watch": Case(lambda db: rollup.roll_up(db, Watcher(db).share())),
    "prune": Case(
        lambda db: prune.prune(db, timedelta(0)),
        meaning=lambda reference: reference.prune(list(reference.raw)),
        prepare=lambda db: received_earlier(db, "fixes"),
    ),
    "erase": Case(lambda db: erase.erase(db, "a"), meaning=lambda reference: reference.erase("a")),
    "repair": Case(lambda db: list(verify(db, Report(), repair=True)), prepare=damage),
    "put": Case(
        lambda db: FixStore(db, lambda: NOW).put(as_fix(LATE)),
        meaning=lambda reference: reference.put(LATE),
    ),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", CASES)
def test_what_ends_at_any_command_is_made_good_by_the_next(
    db: Database[Document], mongodb_uri: str, name: str, after: bool
) -> None:
    case, scene = CASES[name], Scene.play(db)
    with crashing.crashing(mongodb_uri, db) as (ending, crasher):
        for command in moments(f"{name} {after}"):
            reference = scene.set(db)
            case.prepare(db)
            with crasher.at(command, after=after, end=crash), suppress(Crash):
                case.run(ending)
            if not crasher.reached:
                break
            case.run(db)
            case.meaning(reference)
            see_all_is_well(db, reference)
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
def test_a_put_that_ends_at_any_command_may_be_repeated(
    db: Database[Document], mongodb_uri: str, sent: Sent, after: bool, same_process: bool
) -> None:
    scene = Scene.play(db)
    with crashing.crashing(mongodb_uri, db) as (ending, crasher):
        for command in moments(f"{sent} {after} {same_process}"):
            reference = scene.set(db)
            store = FixStore(ending, lambda: NOW)
            with crasher.at(command, after=after, end=crash), suppress(Crash):
                store.put(as_fix(sent))
            if not crasher.reached:
                break
            again = store if same_process else FixStore(db, lambda: NOW)
            again.put(as_fix(sent))
            reference.put(sent)
            see_all_is_well(db, reference)
        assert 3 < len(crasher.sent) <= command


Moment = tuple[str, int]


def kill(home: Path) -> None:
    os.kill(int((home / "mongod.pid").read_text()), signal.SIGKILL)
    while embedded._is_running(home):
        pass


def commands(uri: str, db: Database[Document], scene: Scene) -> Iterator[Moment]:
    """Yield each case with the number of each command that it sends, and of one beyond."""
    with crashing.crashing(uri, db) as (client, listener):
        for name, case in CASES.items():
            scene.set(db)
            case.prepare(db)
            with listener.at(0, after=False, end=lambda: None):
                case.run(client)
            last = len(listener.sent)
            yield from ((name, each) for each in range(0, last, stride(2)))
            yield name, last


def run_until_killed(uri: str, database: str, moment: Moment, barrier: Barrier) -> bool:
    """Tell whether the case came to its end before the kill."""
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
    """End mongod once each database's case is at its command, and see what is left."""
    references = {}
    for database, (name, _) in moments.items():
        with mongo.open_database(Settings(mongodb_uri=uri, database=database)) as db:
            mongo.prepare(db)
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
                CASES[name].meaning(references[database])
                see_all_is_well(db, references[database])


def test_a_database_that_is_killed_before_any_command_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Many cases run at once, each in its own database: so one kill is enough for all."""
    home = tmp_path_factory.mktemp("kill")
    with embedded.mongod(home) as uri:
        with mongo.open_database(Settings(mongodb_uri=uri, database="scene")) as db:
            scene = Scene.play(db)
            moments = list(commands(uri, db, scene))
        for first in range(0, len(moments), 20):
            some = moments[first : first + 20]
            kill_at(home, uri, scene, {f"case_{i}": moment for i, moment in enumerate(some)})
    assert {name for name, _ in moments} == set(CASES)
