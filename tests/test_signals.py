"""Ctrl-C and `kill` at any moment: one line at most, and never a traceback."""

import fcntl
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from locapi.mongo import Document
from tests.conftest import free_port
from tests.test_end_to_end import DEADLINE_S, LOCCTL

AWAY = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=60000"
INTERRUPTED = b"interrupted\n"
MOMENTS_S = (0, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1, 1.6)


def catches(pid: int, number: int) -> bool:
    """Return whether the process has a handler of its own for that signal."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt"):
            return bool(int(line.split()[1], 16) & 1 << number - 1)
    return False


@contextmanager
def begun(*arguments: str | Path, **environ: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start `locctl`, and wait until the first line of ours has run."""
    with subprocess.Popen(
        [LOCCTL, *arguments],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + DEADLINE_S
        # Python itself catches no SIGTERM: that one is ours.
        while process.poll() is None and not catches(process.pid, signal.SIGTERM):
            assert time.monotonic() < deadline
        try:
            yield process
        finally:
            process.kill()


def end(process: "subprocess.Popen[bytes]") -> tuple[int, bytes]:
    _, said = process.communicate(timeout=DEADLINE_S)
    return process.returncode, said


@pytest.mark.parametrize("moment_s", MOMENTS_S)
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_while_it_loads_or_runs_leaves_one_line(moment_s: float, times: int) -> None:
    with begun("export", MONGODB_URI=AWAY) as process:
        time.sleep(moment_s)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        assert end(process) == (130, INTERRUPTED)


@pytest.mark.parametrize("moment_s", MOMENTS_S[::2])
def test_a_termination_while_it_loads_or_runs_leaves_nothing(moment_s: float) -> None:
    with begun("export", MONGODB_URI=AWAY) as process:
        time.sleep(moment_s)
        process.terminate()
        assert end(process) == (143, b"")


@pytest.mark.parametrize("arguments", [["--help"], ["rollup", "--help"], ["completion", "zsh"]])
def test_a_short_command_is_done_or_interrupted_at_every_moment(arguments: list[str]) -> None:
    ends = set()
    for step in range(16):
        with begun(*arguments) as process:
            time.sleep(step * 0.012)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGINT)
            ends.add(end(process))
    assert (130, INTERRUPTED) in ends
    assert ends <= {(130, INTERRUPTED), (0, b"")}


@pytest.mark.parametrize("moment_s", [0.3, 0.8, 1.4, 2.2])
def test_the_embedded_database_is_stopped_whenever_a_command_is_interrupted(
    tmp_path: Path, moment_s: float
) -> None:
    data_dir = tmp_path / "data"
    environ = {"LOCAPI_DATA_DIR": str(data_dir), "MONGODB_URI": ""}
    with begun("--quiet", "rollup", "--watch", "0.01", **environ) as process:
        time.sleep(moment_s)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert end(process) == (130, INTERRUPTED)
    data_dir.mkdir(exist_ok=True)  # where it was interrupted before
    with (data_dir / "running.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which the mongod would hold


@pytest.mark.parametrize("moment_s", [0, 0.2, 0.4, 0.6, 0.9, 1.3, 2])
def test_ctrl_c_at_a_terminal_reaches_every_process_of_serve_and_leaves_no_traceback(
    mongodb_uri: str, db: Database[Document], moment_s: float
) -> None:
    environ = {"MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name}
    arguments = ["--quiet", "serve", "--port", str(free_port()), "--workers", "2"]
    with begun(*arguments, **environ) as process:
        time.sleep(moment_s)
        os.killpg(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)
        # Once it serves, to be stopped is how it ends well.
        assert end(process) in {(130, INTERRUPTED), (0, b"")}


def run(program: str) -> tuple[int, bytes]:
    done = subprocess.run(
        [LOCCTL.with_name("python"), "-c", program], capture_output=True, timeout=DEADLINE_S
    )
    return done.returncode, done.stderr


def test_what_comes_again_while_it_is_told_is_not_told_again() -> None:
    program = (
        "import os, signal\n"
        "from cli import signals\n"
        "tell = signals.tell_interrupted\n"
        "def tell_while_pressed():\n"
        "    tell(); os.kill(os.getpid(), signal.SIGINT)\n"
        "signals.tell_interrupted = tell_while_pressed\n"
        "signals.exit_at_once()\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    assert run(program) == (130, INTERRUPTED)


def test_what_is_swallowed_in_a_finalizer_is_raised_again() -> None:
    program = (
        "import os, signal, time\n"
        "from cli import signals\n"
        "signals.exit_at_once()\n"
        "signals.unwind()\n"
        "class Swallows:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1)\n"
        "try:\n"
        "    Swallows()\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    signals.ignore(); signals.tell_interrupted(); raise SystemExit(130)\n"
    )
    assert run(program) == (130, INTERRUPTED)


def test_what_wakes_nobody_is_seen_all_the_same() -> None:
    """As when it comes just before a lock is waited for: here to a thread that does not care."""
    program = (
        "import signal, threading\n"
        "from cli import signals\n"
        "signals.exit_at_once()\n"
        "signals.unwind()\n"
        "def press(): signal.pthread_kill(threading.get_ident(), signal.SIGINT)\n"
        "threading.Timer(0.3, press).start()\n"
        "try:\n"
        "    threading.Event().wait()\n"
        "except KeyboardInterrupt:\n"
        "    signals.ignore(); signals.tell_interrupted(); raise SystemExit(130)\n"
    )
    assert run(program) == (130, INTERRUPTED)


def test_an_interrupt_that_was_ignored_before_stays_ignored() -> None:
    ignore: Any = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    with subprocess.Popen(
        [LOCCTL, "--version"], stdout=subprocess.PIPE, preexec_fn=ignore
    ) as process:
        deadline = time.monotonic() + DEADLINE_S
        while process.poll() is None:
            assert time.monotonic() < deadline
            process.send_signal(signal.SIGINT)
        assert process.returncode == 0


def test_at_a_terminal_the_line_covers_the_caret_c() -> None:
    parent, child = pty.openpty()
    with subprocess.Popen(
        [LOCCTL, "export"], env={**os.environ, "MONGODB_URI": AWAY}, stderr=child, stdin=child
    ) as process:
        deadline = time.monotonic() + DEADLINE_S
        while not catches(process.pid, signal.SIGTERM):
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
    os.close(child)
    assert os.read(parent, 1000) == b"\rinterrupted\r\n"
    os.close(parent)
