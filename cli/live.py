"""`locctl status --watch`: one screen replaced in place, or plain lines off a terminal."""

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn, TextIO

import click
from pymongo.database import Database

from cli import screen
from cli.screen import Line
from locapi import attention, status
from locapi.attention import Reason
from locapi.errors import ApiUnreachable, DatabaseRefused, DatabaseUnavailable
from locapi.mongo import Document
from locapi.pace import RATE_S, AnswerRates, Pace, Pacer
from locapi.quantities import span
from locapi.settings import Settings
from locapi.status import Status

_ALWAYS_SHOWN = ("stored", "duplicate", "invalid_fix")
_NOT_SHOWN = "ok"  # answers to who asks for health and metrics


@dataclass(frozen=True)
class Frame:
    """What is shown at once."""

    found: Status
    reasons: list[Reason]
    pace: Pace | None
    answers: str | None  # None where no API was named


def watch(settings: Settings, pause_s: float, max_lag: timedelta, api: str | None) -> NoReturn:
    """Look and show, again and again; a database that is away is shown, and looked for."""
    rates = None if api is None else AnswerRates(api)
    with status.open_existing(settings) as database:
        look = _looker(database, status.where(settings), max_lag, rates)
        terminal = _Terminal(sys.stdout)
        while True:
            frame = look()
            if terminal.can_replace:
                terminal.show(lines(frame))
            else:
                click.echo(one_line(frame))
            time.sleep(pause_s)


def _looker(
    database: Database[Document], where: str, max_lag: timedelta, rates: AnswerRates | None
) -> Callable[[], Frame]:
    pacer = Pacer(database)

    def look() -> Frame:
        found, pace = status.read(database, where), None
        if not found.fault and not found.missing_indexes:
            try:
                pace = pacer.look(found.at)
            except (DatabaseUnavailable, DatabaseRefused) as error:
                found = status.failed(found, error)
        answers = None if rates is None else _answers(rates)
        return Frame(found, attention.judge(found, max_lag), pace, answers)

    return look


def _answers(rates: AnswerRates) -> str:
    try:
        found = rates.look(time.monotonic())
    except ApiUnreachable as error:
        return str(error)
    shown = [
        f"{verdict} {rate:,.1f}"
        for verdict, rate in found.items()
        if verdict in _ALWAYS_SHOWN or (rate and verdict != _NOT_SHOWN)
    ]
    return ", ".join(shown)


def lines(frame: Frame) -> list[Line]:
    """Return the whole screen."""
    pace = []
    if frame.pace:
        pace.append(("fixes a second", f"{frame.pace.fixes_per_s:,.1f}, over {RATE_S} s"))
    if frame.answers is not None:
        pace.append(("answers a second", frame.answers))
    if frame.pace:
        within = span(frame.pace.within_s)
        pace.append(("users active", f"{frame.pace.users:,} in the last {within}"))
    told = screen.table([*pace, *screen.rows(frame.found)])
    title = Line(f"{screen.time_text(frame.found.at)}  (Ctrl-C ends)", "bright_black")
    return [title, Line(""), *told, Line(""), *screen.verdict(frame.reasons)]


def one_line(frame: Frame) -> str:
    """Return what matters most, for a file or a pipe."""
    told = [screen.time_text(frame.found.at)]
    if frame.pace:
        within = span(frame.pace.within_s)
        told.append(f"{frame.pace.fixes_per_s:,.1f} fixes/s")
        told.append(f"{frame.pace.users:,} users in {within}")
        told.append(f"lag {span(frame.found.rollup_lag_s or 0)}")
    if frame.answers is not None:
        told.append(f"answers/s: {frame.answers}")
    told.append("; ".join(reason.message for reason in frame.reasons) or "all is well")
    return "  ".join(told)


class _Terminal:
    """Replaces its lines in place, in one write each time, so that nothing flickers."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown = 0
        self._size: os.terminal_size | None = None
        self.can_replace = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        signal.signal(signal.SIGCONT, self._go_on_below)

    def show(self, lines: list[Line]) -> None:
        size = os.get_terminal_size(self._out.fileno())
        width, height = size.columns or 80, size.lines or 24
        fitting = [part for line in lines for part in _wrapped(line, width - 1)][1 - height :]
        body = "".join(f"{screen.coloured(line)}\x1b[K\n" for line in fitting)
        start = self._start(size)
        self._shown, self._size = len(fitting), size
        self._out.write(f"{start}{body}\x1b[J")
        self._out.flush()

    def _go_on_below(self, *_: object) -> None:
        self._shown = 0  # the shell has written since

    def _start(self, size: os.terminal_size) -> str:
        if self._size not in (None, size):
            return "\x1b[H\x1b[2J"  # the terminal has moved what was shown
        return f"\x1b[{self._shown}F" if self._shown else ""


def _wrapped(line: Line, width: int) -> list[Line]:
    indent = " " * line.indent
    parts = textwrap.wrap(line.text, max(width, 2 * line.indent), subsequent_indent=indent)
    return [Line(part, line.colour) for part in parts or [""]]
