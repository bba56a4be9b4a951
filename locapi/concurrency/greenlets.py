"""Wait without blocking other requests: each request is a greenlet on one event loop.

A greenlet that waits yields to the loop, which runs other requests meanwhile, so a request costs
no thread. Outside such a greenlet (in commands, tests or another server) the same code blocks its
thread.
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

# As many threads wait for the database as the driver has connections at most.
_threads = ThreadPoolExecutor(100, thread_name_prefix="locapi-waits")
_MAX_TURNS = 100


class _Task(greenlet):
    """A call that hands what it waits for to the coroutine that runs it."""

    started = 0  # in this process

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        _Task.started += 1
        self.loop = asyncio.get_running_loop()
        self._runner = getcurrent()
        # Flask and the driver keep the state of a request in context variables.
        self.gr_context = copy_context()

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Yield to the loop until the awaitable is done, and return its result."""
        return self._runner.switch(awaitable)


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a greenlet; while it waits, the loop runs others."""
    task = _Task(function)
    awaited = task.switch(*args, **kwargs)
    while not task.dead:
        try:
            result = await awaited
        except BaseException as error:  # it belongs to the function, whatever it is
            awaited = task.throw(error)
        else:
            awaited = task.switch(result)
    returned: T = awaited
    return returned


def run_in_thread(
    function: Callable[P, T], threads: ThreadPoolExecutor = _threads
) -> Callable[P, T]:
    """Decorate a function that blocks: in a greenlet, it runs in one of the `threads`."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        task = getcurrent()
        if not isinstance(task, _Task):
            return function(*args, **kwargs)
        within = functools.partial(copy_context().run, function, *args, **kwargs)
        returned: T = task.wait_for(task.loop.run_in_executor(threads, within))
        return returned

    return call


def yield_until_idle() -> None:
    """Let the requests that have arrived begin; return after a turn of the loop without a new one.

    The number of turns is bounded, because under full load each brings new requests.
    """
    task = getcurrent()
    if isinstance(task, _Task):
        for _ in range(_MAX_TURNS):
            before = _Task.started
            task.wait_for(asyncio.sleep(0))
            if _Task.started == before:
                return


class Event:
    """A one-shot event that the greenlets of one loop wait for, or threads."""

    def __init__(self) -> None:
        task = getcurrent()
        self._future: asyncio.Future[None] | Future[None] = (
            task.loop.create_future() if isinstance(task, _Task) else Future()
        )

    def set(self) -> None:
        """Wake all that wait. An event of a loop must be set in the loop's thread."""
        if not self._future.done():
            self._future.set_result(None)

    def wait(self) -> None:
        """Return once the event is set."""
        task = getcurrent()
        if isinstance(self._future, Future):
            self._future.result()
        elif isinstance(task, _Task):
            task.wait_for(self._future)
