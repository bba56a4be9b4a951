"""One mongod, the API and the roll-up under load, and one of them killed at random moments."""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from tests.conftest import a_fix, free_port
from tests.faults.load import Load
from tests.faults.processes import Api, RollUp
from tests.faults.report import Fault
from tests.faults.tracks import CLOCK, JUMP_H
from tests.support.processes import Mongod, ask, listens, until

PAUSE_S = 1.0  # at most, between all being well and the next fault
# Granian takes it for a loop of crashes when a worker ends twice within 5.5 s, and exits.
BETWEEN_KILLS_S = 6.0


class SingleNode:
    """All processes of a small installation, and the faults that it can have."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self.mongod = Mongod(directory, free_port())
        self.uri = f"mongodb://127.0.0.1:{self.mongod.port}"
        self.api = Api(directory, free_port(), self.uri)
        self.rollup = RollUp(directory, self.uri)
        self._killed_worker_at = 0.0
        self.faults: dict[str, Callable[[], object]] = {
            "mongod killed": self._kill_mongod,
            "worker killed": self._kill_worker,
            "API's parent killed": self._kill_parent,
            "roll-up killed": self._kill_rollup,
            "clock jumped": self._jump,
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all, and end all."""
        with ExitStack() as started:
            for process in (self.mongod, self.api, self.rollup):
                started.callback(process.end)
                process.start()
            until(lambda: listens(self.mongod.port) and self.api.serves(), "the start")
            yield

    def befall(self, load: Load, rounds: int) -> Iterator[Fault]:
        """Cause each fault that many times, in random order, and yield its effects."""
        for _ in range(rounds):
            for kind in self._random.sample(list(self.faults), len(self.faults)):
                time.sleep(self._random.uniform(0, PAUSE_S))
                if kind == "worker killed":
                    until(self._may_kill_worker, "all workers")
                yield self._one(kind, load)

    def _one(self, kind: str, load: Load) -> Fault:
        began = time.monotonic()
        self.faults[kind]()
        until(
            lambda: self._all_run() and load.all_served_since(began),
            f"{kind}: all clients are served again",
        )
        return Fault(kind, began, began, began, time.monotonic())

    def _all_run(self) -> bool:
        """Return true; fail if a process ended by itself."""
        return all(process.pid for process in (self.mongod, self.api, self.rollup))

    def _kill_mongod(self) -> None:
        self.mongod.kill()
        self.mongod.start()

    def _may_kill_worker(self) -> bool:
        calm = self._killed_worker_at + BETWEEN_KILLS_S
        return time.monotonic() > calm and self.api.serves()

    def _kill_worker(self) -> None:
        os.kill(self._random.choice(self.api.workers()), signal.SIGKILL)
        self._killed_worker_at = time.monotonic()

    def _kill_parent(self) -> None:
        self.api.kill()
        self.api.start_until_it_serves()

    def _kill_rollup(self) -> None:
        self.rollup.kill()
        self.rollup.start()

    def _jump(self) -> None:
        now = CLOCK + timedelta(hours=self._random.uniform(-JUMP_H, JUMP_H))
        self.api.clock.set(now)
        too_far = datetime.isoformat(now + timedelta(hours=25), " ", "seconds")[:19]
        probe = json.dumps(a_fix(timestamp=too_far, long=0.0, lat=51.48)).encode()
        code, answer = ask(f"http://127.0.0.1:{self.api.port}", "PUT", "/location", probe)
        assert code == 400, f"the clock did not jump: {answer}"
