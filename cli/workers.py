"""Worker processes, each with a listening socket of its own; one that dies is started anew.

The parent answers nothing itself: it keeps the sockets open, so that a connection
outlives the worker it was meant for, and replaces workers one by one at SIGHUP.
"""

import contextlib
import itertools
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, Pipe, wait

from cli.sockets import authority, listening, raise_open_files, refuse_new
from cli.worker import work
from locapi import metrics

GRACE_S = 9  # Docker kills after 10
START_S = 60
COME_S = 2  # in which a worker that starts may begin to serve before it is told to end
RESTART_S = 1
_TICK_S = 0.1  # while workers are replaced
_DONE = object()

_log = logging.getLogger(__name__)
# Not forked: the parent may have threads.
_processes = multiprocessing.get_context("spawn")


def run(application: str, host: str, port: int, count: int) -> None:
    """Serve until told to stop by SIGTERM or SIGINT, then let workers finish what they accepted.

    `application` is `module:function`, which makes the ASGI application in each worker.
    """
    raise_open_files()
    with (
        listening(host, port, count) as sockets,
        _signals() as signals,
        _leash() as leash,
        metrics.sharing(),
    ):
        _log.info("serving http://%s with %d workers", authority(sockets[0]), count)
        workers = _Workers(application, sockets, leash)
        number: int = signal.SIGTERM
        try:
            while (number := workers.watch(signals)) == signal.SIGHUP:
                workers.replace_all()
        finally:
            workers.stop(number)


@contextlib.contextmanager
def _signals() -> Iterator[Connection]:
    """Yield where the numbers of the signals can be read that tell this process what to do."""
    reader, writer = Pipe(duplex=False)
    before = {
        number: signal.signal(number, lambda received, _: writer.send(int(received)))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    try:
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _leash() -> Iterator[Connection]:
    """Yield a pipe's end that workers read from: it ends with this process, however that ends."""
    reader, writer = Pipe(duplex=False)
    with reader, writer:
        yield reader


class _Worker:
    """A process that serves on one socket, which another may share with it."""

    def __init__(self, application: str, listener: socket.socket, leash: Connection) -> None:
        self._ready, ready = Pipe(duplex=False)
        self._served = False
        self._process = _processes.Process(
            target=work, args=(application, listener, leash, ready), name=_free_name()
        )
        with _interrupts_wait():
            self._process.start()
        ready.close()
        self.sentinel = self._process.sentinel

    def serves(self, wait_s: float = 0.0) -> bool:
        """Return whether it has begun to serve, or does so meanwhile; it may have ended since."""
        with contextlib.suppress(EOFError):
            if not self._served and self._ready.poll(wait_s):
                self._served = self._ready.recv() is None
        return self._served

    def exit_code(self) -> int | None:
        """Return what it ended with, None while it runs."""
        return self._process.exitcode

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.exitcode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def end(self, deadline: float) -> None:
        """Wait for its end until then, and then make it."""
        self._process.join(max(0.0, deadline - time.monotonic()))
        self._process.kill()
        self._process.join()
        self._ready.close()
        metrics.leave(self._process.name)


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Let a process that starts meanwhile know nothing of Ctrl-C until it is ready for it."""
    resource_tracker.ensure_running()  # else it is started along, and lets them through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _free_name() -> str:
    """Return the first name that no living worker bears."""
    taken = {process.name for process in multiprocessing.active_children()}
    return next(name for n in itertools.count(1) if (name := f"worker-{n}") not in taken)


class _Workers:
    """A worker a socket, and while they are replaced another that comes or leaves."""

    def __init__(
        self, application: str, sockets: Sequence[socket.socket], leash: Connection
    ) -> None:
        self._application, self._sockets, self._leash = application, sockets, leash
        self._serving = [self._start(index) for index in range(len(sockets))]
        self._other: _Worker | None = None
        self._replacing: Iterator[None] = iter(())

    def _start(self, index: int) -> _Worker:
        return _Worker(self._application, self._sockets[index], self._leash)

    def watch(self, signals: Connection) -> int:
        """Keep workers running until a signal comes, and return its number."""
        while True:
            replaced = next(self._replacing, _DONE) is _DONE
            sentinels = [worker.sentinel for worker in self._serving]
            happened = wait([signals, *sentinels], None if replaced else _TICK_S)
            # The pause is so that one that cannot start does not keep us busy.
            if signals in happened or (self._restart_dead() and signals.poll(RESTART_S)):
                return int(signals.recv())

    def _restart_dead(self) -> bool:
        dead = [index for index, each in enumerate(self._serving) if each.exit_code() is not None]
        for index in dead:
            code = self._serving[index].exit_code()
            _log.error("a worker ended with %s; starting another", code)
            self._serving[index].end(0)
            self._serving[index] = self._start(index)
        return bool(dead)

    def replace_all(self) -> None:
        """Begin to replace every worker by a new one, once those before are replaced."""
        self._replacing = itertools.chain(self._replacing, self._replacement())

    def _replacement(self) -> Iterator[None]:
        """Replace one worker after the other; yields while it waits for one to come or leave."""
        _log.info("replacing %d workers, one after the other", len(self._serving))
        for index in range(len(self._serving)):
            new = self._other = self._start(index)
            deadline = time.monotonic() + START_S
            while not new.serves():
                if new.exit_code() is not None or time.monotonic() > deadline:
                    self._give_up(new)
                    return
                yield
            old, self._serving[index] = self._serving[index], new
            self._other = old
            old.send(signal.SIGTERM)
            deadline = time.monotonic() + GRACE_S
            while old.exit_code() is None and time.monotonic() < deadline:
                yield
            self._end_other()
        _log.info("all workers are replaced")

    def _give_up(self, new: _Worker) -> None:
        code = new.exit_code()
        why = f"it did not serve within {START_S} s" if code is None else f"it ended with {code}"
        _log.error("a new worker cannot start: %s; the old ones go on", why)
        self._end_other()

    def _end_other(self) -> None:
        if self._other is not None:
            self._other.end(0)
        self._other = None

    def stop(self, number: int) -> None:
        """Let the workers finish, hurrying them if the signal is an interrupt."""
        workers = [*self._serving, *([self._other] if self._other else [])]
        deadline = time.monotonic() + GRACE_S
        refuse_new(self._sockets)
        if number != signal.SIGINT:
            for worker in workers:  # one that still starts would leave what is queued for it
                worker.serves(COME_S)
        for worker in workers:
            worker.send(number)
        for listener in self._sockets:
            listener.close()  # the workers have it still
        for worker in workers:
            worker.end(deadline)
