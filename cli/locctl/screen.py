"""A screen of lines that is replaced in place, and the colours of its lines."""

import os
import signal
import textwrap
from typing import NamedTuple, TextIO

import click

from locapi.text import printable


class Line(NamedTuple):
    """A line; if it is too long for the terminal it continues on the next, indented."""

    text: str
    colour: str | None = None
    indent: int = 2

    def styled(self) -> str:
        """Return the text, safe for a terminal, with its colour unless NO_COLOR is set."""
        if self.colour is None or os.environ.get("NO_COLOR"):
            return printable(self.text)
        return click.style(printable(self.text), fg=self.colour)

    def wrapped(self, width: int) -> list["Line"]:
        """Return the lines of at most `width` columns that it takes."""
        width = max(width, 2 * self.indent)
        parts = textwrap.wrap(self.text, width, subsequent_indent=" " * self.indent)
        return [Line(part, self.colour) for part in parts or [""]]


class Screen:
    """Replace the lines that were shown last, in one write, so that nothing flickers.

    The library rich would save some thirty lines here and add seven megabytes. But in a low
    terminal it leaves out the last lines, which are the problems, and after a stop or a resize
    it writes over lines that are not its own.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown = 0
        self._size: os.terminal_size | None = None
        self._was_stopped = False
        signal.signal(signal.SIGCONT, self._note_stop)

    def show(self, lines: list[Line]) -> None:
        """Show lines, without the first ones if the terminal is too low for all."""
        size = os.get_terminal_size(self._out.fileno())
        width, height = size.columns or 80, size.lines or 24
        fitting = [part for line in lines for part in line.wrapped(width - 1)][1 - height :]
        body = "".join(f"{line.styled()}\x1b[K\n" for line in fitting)
        self._out.write(f"{self._to_start(size)}{body}\x1b[J")
        self._out.flush()
        self._shown, self._size = len(fitting), size

    def _to_start(self, size: os.terminal_size) -> str:
        """Return the escape sequence that moves to where the lines start."""
        if self._was_stopped:
            self._was_stopped = False
            return ""  # below what the shell has written since
        if self._size not in (None, size):
            return "\x1b[H\x1b[2J"  # the terminal has rearranged the lines
        return f"\x1b[{self._shown}F" if self._shown else ""

    def _note_stop(self, *_: object) -> None:
        self._was_stopped = True


def can_replace(out: TextIO) -> bool:
    """Return whether `out` is a terminal that understands escape sequences."""
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
