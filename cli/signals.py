"""What Ctrl-C and `kill` do to a command: one line at most, and never a traceback.

While modules load there is nothing to close, and a signal ends the process at once. While a
command runs it unwinds, so that what was opened is closed. Once it has ended, signals are
ignored: the interpreter could only stumble over them.
"""

import contextlib
import os
import signal
import sys
import time
from types import FrameType

_STOPS = (signal.SIGINT, signal.SIGTERM)
STOPPED = tuple(128 + number for number in _STOPS)
_PATIENCE_S = 2.0  # pressed again within it, Ctrl-C is the same wish, and what is closed closes
_SOON_S = 0.01
_BEAT_S = 0.5  # what comes just before a lock is waited for goes unseen until something wakes it


def exit_at_once() -> None:
    """Let a signal end the process from here on; one that was ignored before stays so."""
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit)


def unwind() -> None:
    """Let a signal raise from here on: KeyboardInterrupt at SIGINT, SystemExit at SIGTERM."""
    stop = _Unwinding()
    for number in _STOPS:
        if signal.getsignal(number) is _exit:
            signal.signal(number, stop)
            signal.signal(signal.SIGALRM, stop)
            signal.setitimer(signal.ITIMER_REAL, _BEAT_S, _BEAT_S)
            sys.unraisablehook = stop.swallowed


def ignore() -> None:
    """Let signals change nothing from here on."""
    for number in (*_STOPS, signal.SIGALRM):
        if isinstance(handler := signal.getsignal(number), _Unwinding) or handler is _exit:
            signal.signal(number, signal.SIG_IGN)


def tell_interrupted() -> None:
    """Say so in a line of its own, over the ^C that a terminal shows."""
    with contextlib.suppress(OSError):
        os.write(2, b"\rinterrupted\n" if os.isatty(2) else b"interrupted\n")


def _exit(number: int, _frame: FrameType | None) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # pressed again, it would be told again
    if number == signal.SIGINT:
        tell_interrupted()
    os._exit(128 + number)


class _Unwinding:
    def __init__(self) -> None:
        self._number = 0
        self._since = float("-inf")
        self._swallowed = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGALRM:
            if self._swallowed:
                self._swallowed = False
                self._raise()
        elif now - self._since > _PATIENCE_S:
            self._number, self._since = number, now
            self._raise()

    def _raise(self) -> None:
        if self._number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self._number)

    def swallowed(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Try again where it was raised in a finalizer, which nothing can pass."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt | SystemExit):
            self._swallowed = True
            signal.setitimer(signal.ITIMER_REAL, _SOON_S, _BEAT_S)
        else:
            sys.__unraisablehook__(unraisable)
