"""`locctl status --watch`, on a real terminal and off one, while the database comes and goes."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from pymongo.database import Database

from cli import live, screen
from cli.live import Frame
from locapi.attention import Reason
from locapi.errors import DatabaseUnavailable
from locapi.mongo import Document
from locapi.pace import Pace, Pacer
from locapi.status import Status
from tests.test_attention import AT, LAG, WELL
from tests.test_end_to_end import DEADLINE_S, LOCCTL
from tests.test_faults import running

PACE = Pace(812.54, 42, 300)
AWAY = Reason("database_away", "the database does not answer; see that it runs")


def text(frame: Frame) -> str:
    return "\n".join(line.text for line in live.lines(frame))


def test_the_screen_shows_the_pace_and_what_was_found() -> None:
    found = replace(WELL, users=None, users_complete=None)
    assert text(Frame(found, [], PACE, "stored 812.5, duplicate 0.0")) == (
        "2026-01-02T03:04:05Z  (Ctrl-C ends)\n"
        "\n"
        "fixes a second    812.5, over 10 s\n"
        "answers a second  stored 812.5, duplicate 0.0\n"
        "users active      42 in the last 5 min\n"
        "database          locapi, mongodb://db (MongoDB 8.0.4)\n"
        "raw fixes         7,620\n"
        "minutes           1,409\n"
        "newest fix        received 2026-01-02T03:04:03Z, 2 s ago\n"
        "oldest raw        received 2025-12-26T03:04:05Z, 7 d ago\n"
        "roll-up           lag 10 min, last began 2026-01-02T02:53:55Z, 10 min ago\n"
        "last prune        ended 2026-01-02T03:03:06Z, 59 s ago, deleted 312\n"
        "disk              12.3 MB data, 3.4 MB indexes; 10.0 GB of 100.0 GB free\n"
        "\n"
        "all is well"
    )


def test_a_database_that_is_away_is_shown_beside_the_answers() -> None:
    found = Status(AT, "locapi", "mongodb://db", fault=AWAY.message)
    assert text(Frame(found, [AWAY], None, "stored 0.0")) == (
        "2026-01-02T03:04:05Z  (Ctrl-C ends)\n"
        "\n"
        "answers a second  stored 0.0\n"
        "database          locapi, mongodb://db\n"
        "\n"
        "needs attention:\n"
        "- the database does not answer; see that it runs"
    )


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (
            Frame(WELL, [], PACE, None),
            "2026-01-02T03:04:05Z  812.5 fixes/s  42 users in 5 min  lag 10 min  all is well",
        ),
        (
            Frame(WELL, [], PACE, "stored 3.0"),
            "2026-01-02T03:04:05Z  812.5 fixes/s  42 users in 5 min  lag 10 min  "
            "answers/s: stored 3.0  all is well",
        ),
        (
            Frame(WELL, [AWAY], None, None),
            "2026-01-02T03:04:05Z  the database does not answer; see that it runs",
        ),
    ],
)
def test_off_a_terminal_it_is_a_line_each_time(frame: Frame, line: str) -> None:
    assert live.one_line(frame) == line


def test_verdicts_that_do_not_happen_are_not_shown_but_for_the_usual() -> None:
    class Rates:
        def look(self, now: float) -> dict[str, float]:
            return {"stored": 1.0, "duplicate": 0.0, "ok": 2.0, "overloaded": 0.0, "bug": 0.1}

    assert live._answers(Rates()) == "stored 1.0, duplicate 0.0, bug 0.1"  # type: ignore[arg-type]


def test_a_database_that_goes_between_two_reads_is_shown(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    def go(*_: object) -> None:
        raise DatabaseUnavailable("the database does not answer; see that it runs")

    monkeypatch.setattr(Pacer, "look", go)
    frame = live._looker(db, "mongodb://db", LAG, None)()
    assert (frame.pace, frame.answers, frame.reasons) == (None, None, [AWAY])


def test_without_an_index_the_pace_is_not_read(db: Database[Document]) -> None:
    db.fixes.insert_one({"_id": "a\t1"})
    db.fixes.drop_indexes()
    frame = live._looker(db, "mongodb://db", LAG, None)()
    assert frame.pace is None
    assert frame.reasons[0].code == "index_missing"


def test_a_long_line_goes_on_below_under_its_column() -> None:
    row = screen.Line("database          " + "word " * 12, indent=18)
    wrapped = [line.text for line in live._wrapped(row, 50)]
    assert wrapped == ["database          " + "word " * 5 + "word", " " * 18 + "word " * 5 + "word"]


class Terminal:
    """A command at a terminal."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.resize(30)
        self.process = subprocess.Popen(
            command, env=environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)
        self.sent = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def resize(self, lines: int, columns: int = 100) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def read(self, until: Callable[[str], bool]) -> str:
        """Read on until the screen is so, and return it."""
        deadline = time.monotonic() + DEADLINE_S
        while not until(shown := screen_of(self.sent)):
            assert time.monotonic() < deadline, shown
            if select.select([self._master], [], [], 0.1)[0]:
                self.sent += self._chunk()
        return shown

    def end(self) -> str:
        """Return what the screen shows in the end."""
        while chunk := self._chunk():
            self.sent += chunk
        self.process.wait(DEADLINE_S)
        return screen_of(self.sent)

    def _chunk(self) -> str:
        try:
            return os.read(self._master, 65_536).decode()
        except OSError:  # the other end is closed
            return ""


def screen_of(sent: str) -> str:
    """Return what a terminal shows of it, without its colours."""
    rows, row, column = [""], 0, 0
    for number, letter, sign in re.findall(r"\x1b\[(\d*)([A-Za-z])|([^\x1b])", sent):
        if letter == "F":
            row, column = max(0, row - int(number)), 0
        elif letter == "K":
            rows[row] = rows[row][:column]
        elif letter == "J":
            rows = [""] if number == "2" else [*rows[:row], rows[row][:column]]
        elif letter == "H":
            row, column = 0, 0
        elif sign == "\r":
            column = 0
        elif sign == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif sign:
            rows[row] = f"{rows[row][:column]:<{column}}{sign}{rows[row][column + 1 :]}"
            column += 1
    return "\n".join(rows)


WATCH = [str(LOCCTL), "status", "--watch", "1"]


def naming(uri: str, **more: str) -> dict[str, str]:
    """Return the environment that names a database."""
    kept = {name: value for name, value in os.environ.items() if "LOCAPI" not in name}
    database = {"MONGODB_URI": uri, "LOCAPI_DATABASE": "test_live"}
    return {**kept, **database, "TERM": "xterm", "NO_COLOR": "", **more}


def names(rows: list[str]) -> list[str]:
    """Return what stands in the first column."""
    return [re.split(" {2,}", row)[0] for row in rows]


def is_read(shown: str) -> bool:
    return "fixes a second    0.0, over 10 s\n" in shown and shown.endswith("\n")


def test_a_database_that_goes_is_shown_and_found_again_and_ctrl_c_leaves_the_screen(
    tmp_path: Path,
) -> None:
    uri = f"mongodb://{quote(str(tmp_path / 's.sock'), safe='')}/?directConnection=true"
    with Terminal(WATCH, naming(uri)) as watching:
        watching.read(lambda shown: "- the database does not answer" in shown)
        with running(tmp_path):
            before = watching.read(is_read)
        away = watching.read(lambda shown: "- the database does not answer" in shown)
        assert "raw fixes" not in away
        with running(tmp_path):
            again = watching.read(is_read)
            watching.press(b"\x03")
            last = watching.end().splitlines()
        assert watching.process.returncode == 130
    assert last[-1] == "interrupted"
    assert names(last[1:-1]) == names(again.splitlines()[1:]) == names(before.splitlines()[1:])
    assert "Traceback" not in watching.sent


def test_it_goes_on_below_after_a_pause_and_anew_in_another_size(mongodb_uri: str) -> None:
    with Terminal(WATCH, naming(mongodb_uri)) as watching:
        watching.read(is_read)
        watching.process.send_signal(signal.SIGCONT)
        watching.read(lambda shown: shown.count("fixes a second") == 2)
        watching.resize(4)
        low = watching.read(lambda shown: shown.count("\n") == 3)
        assert "all is well\n" in low or "needs attention:\n- " in low  # by this machine's disk
        watching.resize(30)
        assert watching.read(is_read).count("fixes a second") == 1
        watching.process.terminate()
        watching.end()
        assert watching.process.returncode == 143


@pytest.mark.parametrize("wanted", [True, False])
def test_colours_are_left_out_where_they_are_not_wanted(mongodb_uri: str, wanted: bool) -> None:
    with Terminal(WATCH, naming(mongodb_uri, NO_COLOR="" if wanted else "1")) as watching:
        watching.read(is_read)
        assert bool(re.search(r"\x1b\[\d+m", watching.sent)) == wanted


def test_a_terminal_that_can_replace_nothing_gets_lines(mongodb_uri: str) -> None:
    with Terminal(WATCH, naming(mongodb_uri, TERM="dumb")) as watching:
        watching.read(lambda shown: shown.count("0.0 fixes/s  0 users in 5 min  lag 0 s  ") == 2)
        assert "\x1b" not in watching.sent


def test_off_a_terminal_lines_follow_each_other(mongodb_uri: str) -> None:
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
        _, said = watching.communicate(timeout=DEADLINE_S)
    for line in lines:
        assert re.match(
            r"20[-\dT:]+Z  0\.0 fixes/s  0 users in 5 min  lag 0 s  "
            r"answers/s: the API does not answer \(Connection refused\)  ",
            line,
        )
    assert (watching.returncode, said) == (130, "interrupted\n")


def test_a_wrong_address_of_the_api_exits_2_at_once() -> None:
    misused = subprocess.run(
        [LOCCTL, "status", "--watch", "--api", "localhost:5000"],
        env={**os.environ, "MONGODB_URI": "mongodb://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (misused.returncode, misused.stdout) == (2, "")
    assert "--api is the API's address, such as http://127.0.0.1:5000" in misused.stderr
