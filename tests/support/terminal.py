"""A command at a terminal, and what the terminal shows."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.processes import DEADLINE_S


class Terminal:
    """Run a command at a terminal of its own; `sent` is everything that it has written."""

    def __init__(
        self, command: list[str], environ: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        self._end, child = pty.openpty()
        self.resize(30)
        self.process = subprocess.Popen(
            command, env=environ, cwd=cwd, stdin=child, stdout=child, stderr=child,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(child)
        self.sent = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)

    def resize(self, lines: int, columns: int = 100) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, size)

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def read_until(self, is_enough: Callable[[str], bool]) -> str:
        """Read until the screen is as wanted, and return it."""
        deadline = time.monotonic() + DEADLINE_S
        while not is_enough(screen := screen_of(self.sent)):
            assert time.monotonic() < deadline, screen
            self._read()
        return screen

    def read_to_the_end(self) -> str:
        """Wait for the end of the command, and return the last screen."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read():
            assert time.monotonic() < deadline, self.sent
        self.process.wait(DEADLINE_S)
        return screen_of(self.sent)

    def _read(self) -> bool:
        """Read what was written within a short time; return False after the end."""
        if select.select([self._end], [], [], 0.1)[0]:
            try:
                self.sent += os.read(self._end, 65_536).decode(errors="replace")
            except OSError:  # the command has closed the terminal
                return False
        return True


def screen_of(sent: str) -> str:
    """Return what a terminal shows after all of this was written to it, without colours."""
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
