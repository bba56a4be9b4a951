"""Fill a real disk under a server, and run one on a disk that is read-only.

Disks are mounted in a mount namespace of their own; where this is not root's process,
the kernel has to let users make one.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import pymongo
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from locapi.errors import LocapiError
from locapi.storage import embedded
from locapi.storage.documents import Document
from tests.conftest import free_port
from tests.support.fixes import fix
from tests.support.processes import LOCCTL, Process, ask, listens, until

DISK = "size=500m"  # what an empty mongod takes, and some
AGAIN_S = 120  # a mongod that does not start is tried for 30 s, every 30 s
FILLED_S = 120
FULL_S = 10
BALLAST = "ballast"


def check() -> list[str]:
    """Run both cases; return a line on each, or raise AssertionError with what is wrong."""
    namespace = ["unshare", "--mount"]
    if os.geteuid() != 0:
        namespace += ["--user", "--map-root-user"]
    command = [*namespace, sys.executable, "-m", "tests.faults.disks"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def main() -> None:
    """Run both cases and print a line on each."""
    for play in (_full, _read_only):
        # The path of mongod's socket has to be short.
        with tempfile.TemporaryDirectory(dir="/tmp", prefix="disk-") as name, _disk(name) as disk:
            click.echo(play(disk))


@contextmanager
def _disk(name: str) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", name], check=True)
    try:
        yield Path(name)
    finally:
        subprocess.run(["umount", name], check=True)


def _full(disk: Path) -> str:
    with tempfile.TemporaryDirectory() as logs, _serving(disk, Path(logs)) as (serve, url):
        stored, logged = _fill(url, disk, serve)
        # Done where mongod has just begun anew and found a little room, else failed.
        tried = _locctl(disk, "rollup")
        assert tried.returncode in (0, 1), tried.stderr
        assert len(tried.stderr.splitlines()) == 1, tried.stderr
        (disk / BALLAST).unlink()
        freed = time.monotonic()
        until(lambda: _code(url, 0) == 200, "an answer again", AGAIN_S)
        back_s = time.monotonic() - freed
        assert _locctl(disk, "rollup").returncode == 0
        minutes = _locctl(disk, "export").stdout.count("\n") - 1
        assert minutes >= stored, f"{stored - minutes} fixes are lost"
        assert _locctl(disk, "verify").returncode == 0
    return (
        f"disk full: {stored} answered 200, lost 0; answered again {back_s:.0f} s after it was "
        f"freed\n  the log: {logged}\n  rollup: {tried.stderr.strip()}"
    )


def _read_only(disk: Path) -> str:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for command in (["serve", "--port", str(free_port())], ["rollup"], ["export"]):
        failed = _locctl(disk, *command)
        assert failed.returncode == 2, failed.stderr
        last = failed.stderr.splitlines()[-1]
        assert "Read-only file system" in last, failed.stderr
        assert "Traceback" not in failed.stderr
    return f"disk read-only: exit 2\n  {last}"


@contextmanager
def _serving(disk: Path, logs: Path) -> Iterator[tuple[Process, str]]:
    port = free_port()
    command = [str(LOCCTL), "serve", "--port", str(port), "--workers", "1"]
    serve = Process("serve", command, logs, **_environ(disk))
    serve.start()
    try:
        until(lambda: listens(port), "the start")
        yield serve, f"http://127.0.0.1:{port}"
    finally:
        serve.end()


def _fill(url: str, disk: Path, serve: Process) -> tuple[int, str]:
    """Send, fill the disk, and send until it is felt; return how many were stored, and the log.

    Every fix has a user and minute of its own.
    """
    codes = [_code(url, number) for number in range(1, 50)]
    assert set(codes) == {200}
    deadline = time.monotonic() + FILLED_S
    with (disk / BALLAST).open("ab", buffering=0) as ballast:
        while codes[-3:] != [500] * 3:
            assert time.monotonic() < deadline, "the full disk is not felt"
            with suppress(OSError):  # also what mongod gives back when it begins anew
                while True:
                    ballast.write(bytes(65_536))
            _use_up(disk / "data")
            codes.append(_code(url, len(codes) + 1))
    assert set(codes) == {200, 500}
    logged = [line for line in serve.log.read_text().splitlines() if "PUT /location" in line]
    assert 1 <= len(logged) <= 4, logged
    assert any("disk is full" in line or "mongod.log" in line for line in logged), logged
    return codes.count(200), logged[-1]


def _use_up(data_dir: Path) -> None:
    """Write to the database until writes fail: it keeps some files in reserve."""
    with suppress(LocapiError, PyMongoError), embedded.mongod(data_dir) as uri:
        with MongoClient[Document](uri) as client, pymongo.timeout(FULL_S):
            while True:
                client.ballast.x.insert_many([{"x": os.urandom(20_000)} for _ in range(50)])


def _code(url: str, number: int) -> int:
    return ask(url, "PUT", "/location", fix(user_id=f"u{number}"))[0]


def _locctl(disk: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [LOCCTL, *command],
        env={**os.environ, **_environ(disk)},
        capture_output=True,
        text=True,
        timeout=FILLED_S,
    )


def _environ(disk: Path) -> dict[str, str]:
    return {"MONGODB_URI": "", "LOCAPI_DATA_DIR": str(disk / "data")}


if __name__ == "__main__":
    main()
