"""Three real mongods as a replica set, the API and the roll-up under load, and failovers."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pymongo
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError

from tests.conftest import free_port
from tests.faults.links import CLIENTS, Links, Way
from tests.faults.load import Load
from tests.faults.processes import DEADLINE_S, Api, Mongod, RollUp, listens, until
from tests.faults.report import Fault

MEMBERS = range(3)
# A fifth of the defaults, both: a member that hears every 2 s and waits 2 s votes for nothing.
ELECTION_MS, HEARTBEAT_MS = 2_000, 400
# What a member waits beyond its order for a source that has fallen silent; 5 s by default.
SILENT_S = 1
AWAY_S = 6.0  # how long a member is paused or cut off: some elections
PAUSE_S = 1.0
HELLO_S = 0.3


class ReplicaSet:
    """All processes of an installation that outlives any one mongod."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._members = [
            Mongod(
                directory,
                free_port(),
                "--replSet=locapi",
                f"--setParameter=oplogNetworkTimeoutBufferSeconds={SILENT_S}",
                name=f"mongod{number}",
            )
            for number in MEMBERS
        ]
        self._ways = [Way(free_port(), member.port) for member in self._members]
        self._links = Links(self._ways, lambda number: self._members[number].pid)
        hosts = ",".join(f"127.0.0.1:{way.port}" for way in self._ways)
        self.uri = f"mongodb://{hosts}/?replicaSet=locapi"
        self.api = Api(directory, free_port(), self.uri)
        self.rollup = RollUp(directory, self.uri)
        self._direct: list[MongoClient[dict[str, Any]]] = []
        self.faults: dict[str, Callable[[int], object]] = {
            "primary killed": self._kill,
            "primary stepped down": self._step_down,
            "primary paused": self._pause,
            "primary cut off": lambda old: self._links.cut(old, {*MEMBERS, CLIENTS} - {old}),
            "primary cut off from members": lambda old: self._links.cut(old, {*MEMBERS} - {old}),
            "secondary cut off": self._cut_secondary,
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all, and end all."""
        with ExitStack() as started:
            started.enter_context(self._links)
            for process in (*self._members, self.api, self.rollup):
                started.callback(process.end)
                process.start()
            until(lambda: all(listens(member.port) for member in self._members), "the start")
            for member in self._members:
                self._direct.append(started.enter_context(_direct(member.port)))
            self._initiate()
            yield

    def befall(self, load: Load, rounds: int) -> Iterator[Fault]:
        """Let each fault come to pass that many times, in any order, and yield what each did."""
        until(lambda: load.all_served_since(0.0), "the first answers")
        for _ in range(rounds):
            for kind in self._random.sample(list(self.faults), len(self.faults)):
                time.sleep(self._random.uniform(0, PAUSE_S))
                yield self._one(kind, load)
                assert self.api.pid
                assert self.rollup.pid
                until(self._whole, "three members, one of them primary")

    def _one(self, kind: str, load: Load) -> Fault:
        [old] = self._primaries()
        began = since = commits = time.monotonic()
        self.faults[kind](old)
        if kind.startswith("primary"):
            until(lambda: bool(self._primaries(but=old)), f"{kind}: a new primary")
            since = time.monotonic()
            self._commit(self._primaries(but=old)[0])
            commits = time.monotonic()
        until(lambda: load.all_served_since(since), f"{kind}: all clients are served again")
        ended = time.monotonic()
        self._mend(old, began + AWAY_S)
        return Fault(kind, began, since, commits, ended)

    def _initiate(self) -> None:
        members = [
            {"_id": number, "host": f"127.0.0.1:{way.port}"}
            for number, way in enumerate(self._ways)
        ]
        settings = {
            "electionTimeoutMillis": ELECTION_MS,
            "heartbeatIntervalMillis": HEARTBEAT_MS,
        }
        config = {"_id": "locapi", "members": members, "settings": settings}
        self._direct[0].admin.command("replSetInitiate", config)
        until(self._whole, "three members, one of them primary")

    def _primaries(self, *, but: int | None = None) -> list[int]:
        others = [number for number in MEMBERS if number != but]
        return [number for number in others if self._hello(number).get("isWritablePrimary")]

    def _whole(self) -> bool:
        hellos = [self._hello(number) for number in MEMBERS]
        primaries = [hello["me"] for hello in hellos if hello.get("isWritablePrimary")]
        return len(primaries) == 1 and all(
            hello.get("primary") == primaries[0]
            and (hello["isWritablePrimary"] or hello["secondary"])
            for hello in hellos
        )

    def _commit(self, primary: int) -> None:
        safe = WriteConcern(w="majority", j=True)
        with pymongo.timeout(DEADLINE_S):
            control = self._direct[primary].control.get_collection("writes", write_concern=safe)
            control.insert_one({})

    def _hello(self, number: int) -> dict[str, Any]:
        with suppress(PyMongoError), pymongo.timeout(HELLO_S):  # it may be killed or paused
            return self._direct[number].admin.command("hello")
        return {}

    def _kill(self, old: int) -> None:
        self._members[old].kill()

    def _step_down(self, old: int) -> None:
        self._direct[old].admin.command("replSetStepDown", 10, secondaryCatchUpPeriodSecs=5)

    def _pause(self, old: int) -> None:
        os.kill(self._members[old].pid, signal.SIGSTOP)

    def _cut_secondary(self, primary: int) -> None:
        secondary = self._random.choice([each for each in MEMBERS if each != primary])
        self._links.cut(secondary, {*MEMBERS, CLIENTS} - {secondary})

    def _mend(self, old: int, when: float) -> None:
        """Undo what befell, whichever it was, and not before it was there for a while."""
        time.sleep(max(0.0, when - time.monotonic()))
        self._links.mend()
        if self._members[old].ended():
            self._members[old].start()
        else:
            os.kill(self._members[old].pid, signal.SIGCONT)


def _direct(port: int) -> MongoClient[dict[str, Any]]:
    # Past the proxies, so that what is cut off is seen as well.
    return MongoClient("127.0.0.1", port, directConnection=True)
