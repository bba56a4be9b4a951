"""Run servers on a scratch database, each as its real processes, and stop them."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from locapi.storage import embedded

WORKERS = 2
DEADLINE_S = 60
BIN = Path(sys.executable).parent
LOCCTL_SERVE = (str(BIN / "locctl"), "serve", "--port", "{port}", "--workers", str(WORKERS))
NAIVE = (
    *(str(BIN / "gunicorn"), "benchmarks.peers.naive:create_app()"),
    *("--bind", "127.0.0.1:{port}", "--workers", str(WORKERS), "--threads", "32"),
)
# uvicorn uses uvloop and httptools if they are installed, and is much slower without them.
ASYNCHRONOUS = (
    *(str(BIN / "uvicorn"), "benchmarks.peers.asynchronous:app", "--port", "{port}"),
    *("--workers", str(WORKERS), "--no-access-log", "--log-level", "warning"),
)
BARE = (sys.executable, "-m", "benchmarks.peers.bare", "{port}", str(WORKERS))


@dataclass(frozen=True)
class Server:
    """A running server: its port on loopback and its first process."""

    port: int
    pid: int


@dataclass(frozen=True)
class Scratch:
    """An embedded mongod in a directory of its own, and the environment that leads to it."""

    directory: Path
    uri: str

    @property
    def environ(self) -> Mapping[str, str]:
        """Return the environment in which locapi uses this database."""
        return {**os.environ, "MONGODB_URI": self.uri}


@contextmanager
def scratch() -> Iterator[Scratch]:
    """Yield an empty database that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="locapi-bench-") as name:
        with embedded.mongod(Path(name) / "data") as uri:
            yield Scratch(Path(name), uri)


@contextmanager
def member() -> Iterator[Scratch]:
    """Yield an empty replica set of one, which has an oplog; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="locapi-bench-") as name:
        port = _free_port()
        command = [
            *(str(embedded.find_mongod()), f"--dbpath={name}", f"--port={port}"),
            *("--bind_ip=127.0.0.1", "--nounixsocket", "--quiet", "--replSet=bench"),
            *("--wiredTigerCacheSizeGB=0.5", f"--logpath={name}/mongod.log"),
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603  ours
            try:
                _initiate(port)
                uri = f"mongodb://127.0.0.1:{port}/?replicaSet=bench"
                yield Scratch(Path(name), uri)
            finally:
                process.terminate()


def _initiate(port: int) -> None:
    with MongoClient[dict[str, Any]]("127.0.0.1", port, directConnection=True) as client:
        members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
        client.admin.command("replSetInitiate", {"_id": "bench", "members": members})
        deadline = time.monotonic() + DEADLINE_S
        while not client.admin.command("hello")["isWritablePrimary"]:
            if time.monotonic() > deadline:
                raise RuntimeError("the replica set has no primary")
            time.sleep(0.1)


def cpu_s(pid: int) -> float:
    """Return the time of CPU that a server's workers have taken."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    stats = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2] for child in children]
    ticks = sum(int(tick) for stat in stats for tick in stat.split()[11:13])  # user and system
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(command: Sequence[str], home: Scratch, **changed: str) -> Iterator[Server]:
    """Run a server, with `{port}` in its command filled in, from its first answer to its end.

    Its environment is the scratch database's with these variables changed.
    """
    port = _free_port()
    log = home.directory / f"{port}.log"
    with log.open("w") as out:
        process = subprocess.Popen(  # noqa: S603  the command is all ours
            [word.format(port=port) for word in command],
            env={**home.environ, **changed},
            stdout=out,
            stderr=out,
        )
    try:
        _wait_for_answer(port, process, log)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for_answer(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            try:
                connection.request("GET", "/health")
                connection.getresponse()
            except OSError:
                time.sleep(0.1)
            else:
                return
    raise RuntimeError(f"no server at {port}: {log.read_text()}")
