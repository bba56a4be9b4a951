"""Wait without holding up others: each request is a greenlet on one event loop.

Where a request waits it steps aside, and its worker goes on with the next one: a
request costs no thread, and a slow one keeps nobody else waiting. Outside such a
greenlet (the command line, tests, another server) the same code blocks its thread.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet

P = ParamSpec("P")
T = TypeVar("T")

# Each waits for the database; as many as the driver has connections at most.
_threads = ThreadPoolExecutor(100, thread_name_prefix="locapi-waits")


_MOST_TURNS = 100


class _Task(greenlet):
    """A call that steps aside by handing what it waits for to the coroutine that runs it."""

    started = 0  # by this process

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        _Task.started += 1
        self.loop = asyncio.get_running_loop()
        self._runner = getcurrent()
        # Flask and the driver's time limits live in context variables.
        self.gr_context = copy_context()

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Step aside until it is done, and return what it results in."""
        return self._runner.switch(awaitable)


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that may step aside; the loop serves others meanwhile."""
    task = _Task(function)
    awaited = task.switch(*args, **kwargs)
    while not task.dead:
        try:
            result = await awaited
        except BaseException as error:  # it is the function's, whichever it is
            awaited = task.throw(error)
        else:
            awaited = task.switch(result)
    returned: T = awaited
    return returned


def aside(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function that blocks step aside: a thread of its own waits in its place."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        task = getcurrent()
        if not isinstance(task, _Task):
            return function(*args, **kwargs)
        within = functools.partial(copy_context().run, function, *args, **kwargs)
        returned: T = task.wait_for(task.loop.run_in_executor(_threads, within))
        return returned

    return call


def settle() -> None:
    """Return after a turn of the loop that began no new call: what had arrived is under way.

    The turns are bounded, for under full load every one brings something new.
    """
    task = getcurrent()
    if isinstance(task, _Task):
        for _ in range(_MOST_TURNS):
            before = _Task.started
            task.wait_for(asyncio.sleep(0))
            if _Task.started == before:
                return


class Event:
    """Set once, by whom it is awaited for: greenlets of the loop it was made on, or threads."""

    def __init__(self) -> None:
        task = getcurrent()
        self._future: asyncio.Future[None] | Future[None] = (
            task.loop.create_future() if isinstance(task, _Task) else Future()
        )

    def set(self) -> None:
        """Wake all that wait; call it where they would run, in the loop's thread or any."""
        if not self._future.done():  # as when one that waits is cancelled
            self._future.set_result(None)

    def wait(self) -> None:
        """Return once it is set."""
        task = getcurrent()
        if isinstance(self._future, Future):
            self._future.result()
        elif isinstance(task, _Task):
            task.wait_for(self._future)
