"""Let calls in progress share one call: those that arrive during one go together with the next.

There is no timer: a single item goes at once, and more load only makes the rounds larger.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from locapi.concurrency import greenlets
from locapi.errors import DatabaseUnavailable, Overloaded

MAX_WAITING = 10_000

T = TypeVar("T")
R = TypeVar("R")


class _Round(Generic[T, R]):
    """Items that go together; the caller with the first one makes the call."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self.turn = greenlets.Event()  # the round before it is done
        self.done = greenlets.Event()
        self.results: Sequence[R] = ()
        self.failure: Exception | None = DatabaseUnavailable("a shared call was interrupted")


class Coalescer(Generic[T, R]):
    """Turn a call with many items into one with a single item; many requests call it at once."""

    def __init__(
        self,
        call: Callable[[list[T]], Sequence[R]],
        waiting: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Share `call`; `waiting` is called with the number of items that wait for a round."""
        self._call = call
        self._waiting = waiting
        self._lock = threading.Lock()
        self._next: _Round[T, R] | None = None  # takes the items that arrive
        self._calling = False  # another round is in progress

    def __call__(self, item: T) -> R:
        """Return the result for the item, or raise the call's error, which each item gets.

        Items keep the order in which they arrived. Raises Overloaded when too many wait.
        """
        with self._lock:
            if self._next is None:
                self._next = _Round()
            mine = self._next
            place = len(mine.items)
            if place >= MAX_WAITING:
                raise Overloaded("too many requests wait for the database")
            mine.items.append(item)
            others, self._calling = self._calling, True
            if others:
                self._waiting(place + 1)
        if place:
            mine.done.wait()
        else:
            if others:
                mine.turn.wait()
            self._lead(mine)
        if mine.failure is not None:
            raise mine.failure
        return mine.results[place]

    def _lead(self, mine: _Round[T, R]) -> None:
        """Make the call, then hand over to the round that formed during it."""
        greenlets.yield_until_idle()  # requests that have arrived may share the round
        with self._lock:
            self._next = None
            self._waiting(0)
        try:
            mine.results = self._call(mine.items)
            mine.failure = None
        except Exception as error:
            mine.failure = error
        finally:
            with self._lock:
                self._calling = self._next is not None
                if self._next is not None:
                    self._next.turn.set()
            mine.done.set()


class CachedRead(Generic[R]):
    """Keep the result of a read for a while; requests that need a new one share the read."""

    def __init__(self, read: Callable[[], R], max_age_s: float = math.inf) -> None:
        """Cache `read` for so many seconds, counted from its start; an error is not cached."""
        self._read = read
        self._max_age_s = max_age_s
        self._refresh: Coalescer[None, R] = Coalescer(self._read_for_all)
        self._cached: tuple[float, R] | None = None  # when the read started, and its result

    def __call__(self) -> R:
        """Return the result; raises what the read raises, and Overloaded when too many wait."""
        cached = self._cached
        if cached is not None and time.monotonic() - cached[0] <= self._max_age_s:
            return cached[1]
        return self._refresh(None)

    def _read_for_all(self, callers: list[None]) -> Sequence[R]:
        cached = self._cached
        # Callers that arrived during the last read need no other one.
        if cached is None or time.monotonic() - cached[0] > self._max_age_s:
            start = time.monotonic()
            cached = self._cached = start, self._read()
        return [cached[1]] * len(callers)
