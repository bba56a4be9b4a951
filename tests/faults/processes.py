"""The API and the roll-up as processes that can be killed and started again."""

import sys
from pathlib import Path

from locapi.ingest import store
from tests.faults.clock import DEADLINE, VARIABLE, Clock
from tests.faults.tracks import CLOCK
from tests.support.processes import LOCCTL, Process, listeners, until, workers_of

WORKERS = 2


class Api(Process):
    """`locctl serve` with WORKERS workers and a clock that can jump."""

    def __init__(
        self, directory: Path, port: int, uri: str, deadline_s: int = store.DEADLINE_S
    ) -> None:
        self.port = port
        self.clock = Clock(directory / "clock")
        self.clock.set(CLOCK)
        command = [sys.executable, "-m", "tests.faults.clock", "serve"]
        command += ["--port", str(port), "--workers", str(WORKERS)]
        environ = {"MONGODB_URI": uri, VARIABLE: str(directory / "clock")}
        environ[DEADLINE] = str(deadline_s)
        super().__init__("serve", command, directory, **environ)

    def workers(self) -> list[int]:
        """Return the processes that serve."""
        return workers_of(self.pid)

    def serves(self) -> bool:
        """Return whether all of its workers listen; one that has just started does not yet."""
        return len(self.workers()) == listeners(self.port) == WORKERS

    def start_until_it_serves(self) -> None:
        """Start it until it serves, as a service manager does."""
        for _ in range(20):
            self.start()
            until(lambda: self.ended() or self.serves(), "the API's workers")
            if not self.ended():
                return
        raise AssertionError(f"the API does not start: {self._last_words()}")


class RollUp(Process):
    """`locctl rollup --watch` with the shortest interval."""

    def __init__(self, directory: Path, uri: str) -> None:
        command = [str(LOCCTL), "rollup", "--watch", "0.1"]
        super().__init__("rollup", command, directory, MONGODB_URI=uri)
