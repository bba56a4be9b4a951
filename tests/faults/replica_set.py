"""Three real mongods as a replica set, the API and the roll-up under load, and failovers."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.conftest import free_port
from tests.faults.links import CLIENTS, Links, Way
from tests.faults.load import Load
from tests.faults.processes import Api, RollUp
from tests.faults.report import Fault
from tests.support.members import MEMBERS, Members
from tests.support.processes import listens, until

AWAY_S = 6.0  # how long a member is paused or cut off: some elections
PAUSE_S = 1.0


class ReplicaSet:
    """All processes of an installation that survives the loss of any one mongod."""

    def __init__(self, directory: Path, seed: int, away_s: float = AWAY_S) -> None:
        self._away_s = away_s
        self._random = random.Random(seed)
        self._members = Members(directory)
        self._ways = [Way(free_port(), mongod.port) for mongod in self._members.mongods]
        self._links = Links(self._ways, lambda number: self._members.mongods[number].pid)
        self._members.known_by = [way.port for way in self._ways]
        self.uri = self._members.uri
        self.api = Api(directory, free_port(), self.uri)
        self.rollup = RollUp(directory, self.uri)
        self.faults: dict[str, Callable[[int], object]] = {
            "primary killed": self._members.kill,
            "primary stepped down": self._members.step_down,
            "primary paused": self._members.pause,
            "primary cut off": lambda old: self._links.cut(old, {*MEMBERS, CLIENTS} - {old}),
            "primary cut off from members": lambda old: self._links.cut(old, {*MEMBERS} - {old}),
            "secondary cut off": self._cut_secondary,
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all, and end all."""
        with ExitStack() as started:
            started.enter_context(self._links)
            started.enter_context(self._members.running())
            for process in (self.api, self.rollup):
                started.callback(process.end)
                process.start()
            until(lambda: listens(self.api.port), "the API's start")
            yield

    def befall(self, load: Load, rounds: int) -> Iterator[Fault]:
        """Cause each fault that many times, in random order, and yield its effects."""
        until(lambda: load.all_served_since(0.0), "the first answers")
        for _ in range(rounds):
            for kind in self._random.sample(list(self.faults), len(self.faults)):
                time.sleep(self._random.uniform(0, PAUSE_S))
                yield self._one(kind, load)
                until(self._members.whole, "three members, one of them primary")

    def _one(self, kind: str, load: Load) -> Fault:
        [old] = self._members.primaries()
        began = since = commits = time.monotonic()
        self.faults[kind](old)
        if kind.startswith("primary"):
            until(lambda: bool(self._members.primaries(but=old)), f"{kind}: a new primary")
            since = time.monotonic()
            self._members.commit(self._members.primaries(but=old)[0])
            commits = time.monotonic()
        until(
            lambda: bool(self.api.pid and self.rollup.pid) and load.all_served_since(since),
            f"{kind}: all clients are served again",
        )
        ended = time.monotonic()
        self._repair(old, began + self._away_s)
        return Fault(kind, began, since, commits, ended)

    def _cut_secondary(self, primary: int) -> None:
        secondary = self._random.choice([each for each in MEMBERS if each != primary])
        self._links.cut(secondary, {*MEMBERS, CLIENTS} - {secondary})

    def _repair(self, old: int, when: float) -> None:
        """Undo the fault after a while, whichever it was."""
        time.sleep(max(0.0, when - time.monotonic()))
        self._links.restore()
        self._members.bring_back(old)
