"""`locctl status --watch` on a terminal and off one, while the database comes and goes."""

import os
import re
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.mongod import running
from tests.support.processes import DEADLINE_S, LOCCTL
from tests.support.terminal import Terminal

WATCH = [str(LOCCTL), "status", "--watch", "1"]


def naming(uri: str, **changed: str) -> dict[str, str]:
    """Return an environment that names a database."""
    kept = {name: value for name, value in os.environ.items() if "LOCAPI" not in name}
    database = {"MONGODB_URI": uri, "LOCAPI_DATABASE": "test_live"}
    return {**kept, **database, "TERM": "xterm", "NO_COLOR": "", **changed}


def names(rows: list[str]) -> list[str]:
    """Return the first column."""
    return [re.split(" {2,}", row)[0] for row in rows]


def is_read(screen: str) -> bool:
    return "fixes/s           0.0 (mean of 10 s)\n" in screen and not is_away(screen)


def read_whole(terminal: Terminal) -> str:
    """Read until the database is shown, up to what ends a screen: part of it can arrive first."""
    return terminal.read_until(lambda screen: is_read(screen) and terminal.sent.endswith("\x1b[J"))


def is_away(screen: str) -> bool:
    return "- the database does not answer" in screen


def test_screen_shows_an_unavailable_database_and_its_return_and_ctrl_c_keeps_it(
    tmp_path: Path,
) -> None:
    uri = f"mongodb://{quote(str(tmp_path / 's.sock'), safe='')}/?directConnection=true"
    with Terminal(WATCH, naming(uri)) as terminal:
        terminal.read_until(is_away)
        with running(tmp_path):
            before = read_whole(terminal)
        assert "raw fixes" not in terminal.read_until(is_away)
        with running(tmp_path):
            again = read_whole(terminal)
            terminal.type("\x03")
            last = terminal.read_to_the_end().splitlines()
        assert terminal.process.returncode == 130
    assert last[-1] == "interrupted"
    assert names(last[1:-1]) == names(again.splitlines()[1:]) == names(before.splitlines()[1:])
    assert "Traceback" not in terminal.sent


def test_screen_continues_below_after_a_stop_and_starts_again_in_another_size(
    mongodb_uri: str,
) -> None:
    with Terminal(WATCH, naming(mongodb_uri)) as terminal:
        read_whole(terminal)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.read_until(lambda screen: screen.count("fixes/s") == 2)
        terminal.resize(4)
        low = terminal.read_until(lambda screen: screen.count("\n") == 3)
        assert "no problems found\n" in low or " found:\n- " in low  # by this machine's disk
        terminal.resize(30)
        assert read_whole(terminal).count("fixes/s") == 1
        terminal.process.terminate()
        terminal.read_to_the_end()
        assert terminal.process.returncode == 143


def test_dumb_terminal_gets_lines(mongodb_uri: str) -> None:
    with Terminal(WATCH, naming(mongodb_uri, TERM="dumb")) as terminal:
        line = "0.0 fixes/s  0 users in 5 min  lag 0 s  "
        terminal.read_until(lambda screen: screen.count(line) == 2)
        assert "\x1b" not in terminal.sent


def test_pipe_gets_lines(mongodb_uri: str) -> None:
    with subprocess.Popen(
        [*WATCH, "--api", "http://127.0.0.1:1"],
        env=naming(mongodb_uri),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        lines = [watching.stdout.readline() for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        _, messages = watching.communicate(timeout=DEADLINE_S)
    for line in lines:
        assert re.match(
            r"20[-\dT:]+Z  0\.0 fixes/s  0 users in 5 min  lag 0 s  "
            r"responses/s: the API does not respond \(Connection refused\)  ",
            line,
        )
    assert (watching.returncode, messages) == (130, "interrupted\n")


def test_pause_may_be_longer_than_the_system_can_sleep(mongodb_uri: str) -> None:
    with subprocess.Popen(
        [*WATCH[:-1], "1e300"],
        env=naming(mongodb_uri),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        assert "fixes/s" in watching.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            watching.wait(0.5)
        watching.send_signal(signal.SIGINT)
        _, messages = watching.communicate(timeout=DEADLINE_S)
    assert (watching.returncode, messages) == (130, "interrupted\n")
