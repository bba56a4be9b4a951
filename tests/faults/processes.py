"""mongod, the API and the roll-up as processes that can be killed and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from locapi import embedded
from tests.faults.clock import VARIABLE, Clock
from tests.faults.tracks import CLOCK

DEADLINE_S = 60
LOCCTL = Path(sys.executable).with_name("locctl")
ROOT = Path(__file__).parents[2]


class Process:
    """A command that is started again, as a service manager does, once it was killed."""

    def __init__(self, name: str, command: list[str], directory: Path, **environ: str) -> None:
        self.log = directory / f"{name}.log"
        self._name, self._command = name, command
        self._environ = {**os.environ, **environ}
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def pid(self) -> int:
        """Return the number of the process that runs, and fail where it ended by itself."""
        assert self._process, f"{self._name} was not started"
        code = self._process.poll()
        assert code is None, f"{self._name} ended by itself with {code}: {self._last_words()}"
        return self._process.pid

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text().splitlines()[-20:])

    def ended(self) -> bool:
        """Tell whether it does not run."""
        return self._process is None or self._process.poll() is not None

    def start(self) -> None:
        """Start it; return at once."""
        self.starts += 1
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environ, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it without a word."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._process
        self._process.wait(DEADLINE_S)

    def end(self) -> None:
        """Ask it to end, and wait until it did; it may be gone already."""
        if self._process:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(DEADLINE_S)

    def discard(self) -> None:
        """End it at once, with what it has still to do; it may be gone already."""
        if self._process:
            self._process.kill()
            self._process.wait(DEADLINE_S)


class Mongod(Process):
    """A mongod on a port of this machine, journaling, always on the same files."""

    def __init__(self, directory: Path, port: int, *options: str, name: str = "mongod") -> None:
        self.port = port
        dbpath = directory / name
        dbpath.mkdir()
        command = [
            str(embedded.find_mongod()),
            f"--dbpath={dbpath}",
            f"--port={port}",
            "--bind_ip=127.0.0.1",
            "--nounixsocket",
            "--quiet",
            "--wiredTigerCacheSizeGB=0.25",
            "--setParameter=diagnosticDataCollectionEnabled=false",
            *options,
        ]
        super().__init__(name, command, directory)


class Api(Process):
    """`locctl serve` with two workers and a clock that can jump."""

    def __init__(self, directory: Path, port: int, uri: str) -> None:
        self.port = port
        self.clock = Clock(directory / "clock")
        self.clock.set(CLOCK)
        command = [sys.executable, "-m", "tests.faults.clock", "serve"]
        command += ["--port", str(port), "--workers", "2"]
        environ = {"MONGODB_URI": uri, VARIABLE: str(directory / "clock")}
        super().__init__("serve", command, directory, **environ)

    def workers(self) -> list[int]:
        """Return the processes that serve: the parent's children but for multiprocessing's own."""
        with suppress(FileNotFoundError):
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            return [child for child in map(int, children.split()) if _is_worker(child)]
        return []

    def start_until_it_serves(self) -> None:
        """Start it as often as it takes, as a service manager does."""
        for _ in range(20):
            self.start()
            while not self.ended():
                if self.workers():
                    return
                time.sleep(0.01)
        raise AssertionError(f"the API does not start: {self._last_words()}")


class RollUp(Process):
    """`locctl rollup --watch`, as often as it can."""

    def __init__(self, directory: Path, uri: str) -> None:
        command = [str(LOCCTL), "rollup", "--watch", "0.1"]
        super().__init__("rollup", command, directory, MONGODB_URI=uri)


def until(true: Callable[[], bool], what: str, seconds: float = DEADLINE_S) -> None:
    """Return once something is true; fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)


def listens(port: int) -> bool:
    """Tell whether anything takes connections on a port of this machine."""
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def _is_worker(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
