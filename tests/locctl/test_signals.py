"""Ctrl-C and SIGTERM end a command: one line at most, never a traceback, nothing left running."""

import fcntl
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from locapi.storage.documents import Document
from tests.conftest import free_port
from tests.support.processes import DEADLINE_S, LOCCTL, ask, until, workers_of

INTERRUPTED = b"interrupted\n"
ENDS = [(signal.SIGINT, (130, INTERRUPTED)), (signal.SIGTERM, (143, b""))]


@pytest.fixture
def database() -> Iterator[socket.socket]:
    """A server that takes connections and says nothing, so that commands wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE_S)
        yield server


def uri(database: socket.socket) -> str:
    return f"mongodb://127.0.0.1:{database.getsockname()[1]}/?serverSelectionTimeoutMS=60000"


@contextmanager
def begun(*arguments: str | Path, **environ: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start `locctl`, and wait until it handles signals."""
    with subprocess.Popen(
        [LOCCTL, *arguments],
        env={**_without_coverage(), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            # Python itself handles no SIGTERM.
            until(lambda: handles(process.pid, signal.SIGTERM) or process.poll() is not None)
            yield process
        finally:
            process.kill()


def _without_coverage() -> dict[str, str]:
    """Return the environment in which Python starts as it does for users."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def handles(pid: int, number: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    handled = next((line.split()[1] for line in lines if line.startswith("SigCgt")), "0")
    return bool(int(handled, 16) & 1 << number - 1)


def end(process: "subprocess.Popen[bytes]", number: int | None = None) -> tuple[int, bytes]:
    """Wait for the end, sending a signal again and again as a person may; return the result.

    One signal is not enough: Python does not notice the one that arrives just before the main
    thread begins to wait for a lock.
    """

    def has_ended() -> bool:
        if number is not None:
            process.send_signal(number)
        return process.poll() is not None

    until(has_ended)
    _, messages = process.communicate(timeout=DEADLINE_S)
    return process.returncode, messages or b""


@pytest.mark.parametrize(("number", "expected"), ENDS)
@pytest.mark.parametrize("is_loading", [True, False])
def test_signal_ends_a_command_that_loads_or_waits_for_the_database(
    database: socket.socket, is_loading: bool, number: int, expected: tuple[int, bytes]
) -> None:
    with begun("export", MONGODB_URI=uri(database)) as process:
        with nullcontext() if is_loading else database.accept()[0]:
            assert end(process, number) == expected


DROPPED = """
import signal
from locctl import signals

class Trap:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

signals.install()
Trap()
print("went on")
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("stopped")
"""


def test_signal_that_python_drops_shows_no_traceback_and_the_next_one_counts() -> None:
    done = subprocess.run([sys.executable, "-c", DROPPED], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("went on\nstopped\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["rollup", "--help"], ["completion", "zsh"]])
def test_short_command_finishes_or_is_interrupted(arguments: list[str]) -> None:
    with begun(*arguments) as process:
        assert end(process, signal.SIGINT) in {(130, INTERRUPTED), (0, b"")}


def test_embedded_database_is_stopped_when_a_command_is_interrupted(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    environ = {"LOCAPI_DATA_DIR": str(data_dir), "MONGODB_URI": ""}
    with begun("--quiet", "rollup", "--watch", "0.01", **environ) as process:
        until(lambda: (data_dir / "mongod.pid").exists())
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert end(process) == (130, INTERRUPTED)
    with (data_dir / "running.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a running mongod would hold it


@pytest.mark.parametrize("is_loading", [True, False])
def test_ctrl_c_at_a_terminal_stops_serve_and_its_workers_without_a_traceback(
    mongodb_uri: str, db: Database[Document], is_loading: bool
) -> None:
    """A terminal sends the signal to every process, so a worker may get it while it loads."""
    port = free_port()
    environ = {"MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name}
    with begun("--quiet", "serve", f"--port={port}", "--workers=1", **environ) as process:
        until(lambda: bool(workers_of(process.pid)) if is_loading else answers(port))
        os.killpg(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)
        assert end(process) == (0, b"")


def test_ctrl_c_stops_serve_with_the_embedded_database(tmp_path: Path) -> None:
    """A thread watches that mongod, and must not take the signal from the one that stops."""
    port = free_port()
    environ = {"LOCAPI_DATA_DIR": str(tmp_path / "data"), "MONGODB_URI": ""}
    with begun("--quiet", "serve", f"--port={port}", "--workers=1", **environ) as process:
        until(lambda: answers(port))
        os.killpg(process.pid, signal.SIGINT)
        assert end(process) == (0, b"")


def answers(port: int) -> bool:
    with suppress(OSError):
        return ask(f"http://127.0.0.1:{port}", "GET", "/health")[0] == 200
    return False


def test_interrupt_that_was_ignored_before_stays_ignored(database: socket.socket) -> None:
    """As after `nohup` or in the background of a script."""
    ignore: Any = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    environ = {**os.environ, "MONGODB_URI": uri(database)}
    with subprocess.Popen([LOCCTL, "export"], env=environ, preexec_fn=ignore) as process:
        with database.accept()[0]:
            process.send_signal(signal.SIGINT)
            assert end(process, signal.SIGTERM) == (143, b"")


def test_line_covers_the_caret_c_of_a_terminal(database: socket.socket) -> None:
    parent, child = pty.openpty()
    environ = {**os.environ, "MONGODB_URI": uri(database)}
    with subprocess.Popen([LOCCTL, "export"], env=environ, stderr=child, stdin=child) as process:
        with database.accept()[0]:
            assert end(process, signal.SIGINT)[0] == 130
    os.close(child)
    assert os.read(parent, 1000) == b"\rinterrupted\r\n"
    os.close(parent)
