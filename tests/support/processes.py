"""Processes of locapi and mongod, and requests to their servers."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from locapi.storage import embedded

LOCCTL = Path(sys.executable).with_name("locctl")
ROOT = Path(__file__).parents[2]
DEADLINE_S = 60


def until(true: Callable[[], bool], what: str = "it", seconds: float = DEADLINE_S) -> None:
    """Return once the condition is true; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Return whether a process accepts connections on this port."""
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def listeners(port: int) -> int:
    """Return how many sockets listen on this port: one for each worker that serves."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(each[1].endswith(f":{port:04X}") and each[3] == "0A" for each in sockets)


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def workers_of(pid: int) -> list[int]:
    """Return a server's children that serve: all but multiprocessing's own."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [int(child) for child in children if _is_spawned(child)]


def _is_spawned(pid: str) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return False


class Process:
    """A command that can be killed and started again, as by a service manager."""

    def __init__(self, name: str, command: list[str], directory: Path, **environ: str) -> None:
        self.log = directory / f"{name}.log"
        self._name, self._command = name, command
        self._environ = {**os.environ, **environ}
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def pid(self) -> int:
        """Return the id of the running process; fail if it ended by itself."""
        assert self._process, f"{self._name} was not started"
        code = self._process.poll()
        assert code is None, f"{self._name} ended by itself with {code}: {self._last_words()}"
        return self._process.pid

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text().splitlines()[-20:])

    def ended(self) -> bool:
        """Return whether it does not run."""
        return self._process is None or self._process.poll() is not None

    def start(self) -> None:
        """Start it, without waiting."""
        self.starts += 1
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environ, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._process
        self._process.wait(DEADLINE_S)

    def end(self) -> None:
        """Send SIGTERM and wait for its end; it may have ended already."""
        if self._process:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(DEADLINE_S)

    def discard(self) -> None:
        """Kill it, whatever it still has to do; it may have ended already."""
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


def ask(url: str, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """Send a request; return the status and the JSON of its response."""
    request = urllib.request.Request(url + path, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
