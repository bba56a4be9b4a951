"""One worker process: serve on a socket, and leave it without losing a request."""

import asyncio
import contextlib
import multiprocessing
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing import connection
from types import FrameType
from typing import Any

import uvicorn

from cli import connections, sockets
from cli.connections import Connection
from cli.parting import Lingering
from locapi import logs, metrics

KEEP_ALIVE_S = 75  # longer than load balancers keep an idle connection
# From SIGTERM on; Docker kills after 10 s, and the parent needs a moment too.
ACCEPT_S = 0.5  # for handshakes under way, and what the kernel has queued
IDLE_S = 2  # in which a client that is not told yet may send once more
ARRIVE_S = 5  # for the rest of a request that has begun to come
DRAIN_S = 8.5
_TICK_S = 0.05
_TURNS = 4  # of the loop, in which what it has accepted becomes a connection
_SPARE_FILES = 512  # for the database, and for connections that linger


class _Server(uvicorn.Server):
    """Uvicorn's server with another end, and a check of its connections each second."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._accept_s = ACCEPT_S
        self._hurry = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, and tell so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if not self.should_exit:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Check the connections once a second."""
        if counter % 10 == 0:
            now = time.monotonic()
            for each in self._connections():
                each.check(now)
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  uvicorn's
        """End; at an interrupt without waiting for more requests."""
        if sig == signal.SIGINT:
            self._accept_s, self._hurry = 0, True
        self.should_exit = True

    def orphan(self) -> None:
        """Give up the port at once, for whoever comes next, and end."""
        self._accept_s = 0
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._close_listeners)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what was accepted and what comes on open connections soon, and end in time."""
        start = time.monotonic()
        await self._drain(start + self._accept_s, lambda: True)
        if self._accept_s:  # a busy machine may be behind with it
            await self._drain(start + IDLE_S, lambda: _are_queued(sockets or []))
        self._close_listeners()
        for listener in sockets or []:
            listener.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if not self._hurry:
            # Who was accepted last has time to be heard too.
            heard = max(start + IDLE_S, time.monotonic() + self._accept_s)
            await self._drain(heard, lambda: bool(self._connections()))
        for each in self._connections():
            if each.is_idle():
                each.leave()
        await self._drain(start + ARRIVE_S, self._is_busy)
        for each in self._connections():
            if not each.is_due():
                each.leave()
        await self._drain(start + DRAIN_S, self._is_busy)
        await self._cut_off()

    async def _drain(self, until: float, goes_on: Callable[[], bool]) -> None:
        while time.monotonic() < until and goes_on():
            for each in self._connections():
                each.drain()
            await asyncio.sleep(_TICK_S)

    def _is_busy(self) -> bool:
        lingering = Lingering.alive and not self._hurry
        return bool(self._connections() or self.server_state.tasks or lingering)

    async def _cut_off(self) -> None:
        """Let requests that still wait for the database be answered all the same."""
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_TICK_S)

    def _connections(self) -> list[Connection]:
        return list(self.server_state.connections)  # type: ignore[arg-type]

    def _close_listeners(self) -> None:
        for server in self.servers:
            server.close()


def _are_queued(listeners: list[socket.socket]) -> bool:
    """Return whether the kernel has connections that were not accepted yet."""
    return bool(select.select(listeners, [], [], 0)[0])


def work(
    application: str,
    listener: socket.socket,
    leash: connection.Connection,
    ready: connection.Connection,
) -> None:
    """Serve `application` until told to stop, or until the other end of `leash` is gone."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # it waited while this one started
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as when a terminal closes; the parent is told
    logs.configure()
    metrics.join(multiprocessing.current_process().name)
    Connection.max_connections = _max_connections(sockets.open_files())
    Lingering.most = Connection.max_connections // 16
    config: dict[str, Any] = {
        "factory": True,
        "loop": "asyncio",
        "http": Connection,
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "log_level": "error",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "backlog": sockets.BACKLOG,
        "timeout_keep_alive": KEEP_ALIVE_S,
    }
    server = _Server(uvicorn.Config(application, **config), lambda: ready.send(None))
    threading.Thread(target=_end_with_parent, args=(leash, server), daemon=True).start()
    server.run([listener])


def _max_connections(open_files: int) -> int:
    # Never so many that to accept one fails, for then the loop takes none for a second.
    return min(connections.MAX_CONNECTIONS, max(open_files - _SPARE_FILES, open_files // 4))


def _end_with_parent(leash: connection.Connection, server: _Server) -> None:
    with contextlib.suppress(EOFError):
        leash.recv()
    server.orphan()
