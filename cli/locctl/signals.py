"""Let Ctrl-C and SIGTERM end a command with its cleanup, and with one line at most."""

import contextlib
import os
import signal
import sys
import time
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

_STOPS = (signal.SIGINT, signal.SIGTERM)
_REPEAT_S = 2.0


def install() -> None:
    """Raise KeyboardInterrupt on SIGINT and SystemExit on SIGTERM, unless they are ignored."""
    stop = _Stop()
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    sys.unraisablehook = stop.note_lost


def ignore() -> None:
    """Ignore both from here on, because an exception in Python's own exit shows a traceback."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)


def say_interrupted() -> None:
    """Print that the command was interrupted, over the ^C that a terminal shows."""
    with contextlib.suppress(OSError):
        os.write(2, b"\rinterrupted\n" if os.isatty(2) else b"interrupted\n")


class _Stop:
    """Raise once: a signal that repeats the last one soon must not interrupt the cleanup."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._last > _REPEAT_S:
            self._last = now
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(TERMINATED)

    def note_lost(self, lost: "sys.UnraisableHookArgs") -> None:
        """Let the next signal stop if the last one came in a callback, where Python drops it."""
        if isinstance(lost.exc_value, KeyboardInterrupt | SystemExit):
            self._last = float("-inf")
        else:
            sys.__unraisablehook__(lost)
