"""Calls in flight share one: what arrives while one is on its way goes with the next.

There is no timer: a lone item goes at once, and more load only makes the rounds larger.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from locapi import greenlets
from locapi.errors import DatabaseUnavailable, Overloaded

MAX_WAITING = 10_000

T = TypeVar("T")
R = TypeVar("R")


class _Round(Generic[T, R]):
    """Items that go together; who brought the first one makes the call."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self.turn = greenlets.Event()  # the round before it is done
        self.done = greenlets.Event()
        self.results: Sequence[R] = ()
        self.failure: Exception | None = DatabaseUnavailable("a shared call was broken off")


class Shared(Generic[T, R]):
    """A call that takes many items; meant to be called with one each by many requests at once."""

    def __init__(
        self,
        call: Callable[[list[T]], Sequence[R]],
        waiting: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Share `call`; `waiting` is told how many items wait for the round before theirs."""
        self._call = call
        self._waiting = waiting
        self._lock = threading.Lock()
        self._next: _Round[T, R] | None = None  # takes what arrives
        self._calling = False  # another round is on its way

    def __call__(self, item: T) -> R:
        """Return the item's result; where the call fails, its error is raised for each.

        Items keep the order in which they came. Raises Overloaded where too many
        wait already.
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
        """Make the call, and hand over to the round that formed meanwhile."""
        greenlets.settle()  # those that have arrived may share it
        with self._lock:
            self._next = None
            self._waiting(0)
        try:
            mine.results = self._call(mine.items)
            mine.failure = None
        except Exception as error:  # it is everyone's
            mine.failure = error
        finally:
            with self._lock:
                self._calling = self._next is not None
                if self._next is not None:
                    self._next.turn.set()
            mine.done.set()
