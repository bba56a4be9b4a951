"""Worker processes, each with a listening socket of its own; one that dies is started anew."""

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import click
import uvicorn

from locapi import logs

KEEP_ALIVE_S = 75  # longer than load balancers keep an idle connection
DRAIN_S = 8
GRACE_S = 10
RESTART_S = 1
_BACKLOG = 2_048

# Not forked: the parent may have threads.
_processes = multiprocessing.get_context("spawn")


def run(application: str, host: str, port: int, count: int) -> None:
    """Serve until told to stop by SIGTERM or SIGINT, then let workers finish what they accepted.

    `application` is `module:function`, which makes the ASGI application in each worker.
    """
    with _listening(host, port, count) as sockets, _signals() as stopped, _leash() as leash:
        click.echo(f"serving http://{_authority(sockets[0])} with {count} workers", err=True)
        workers = [_start(application, listener, leash) for listener in sockets]
        try:
            while not _ended(workers, stopped):
                _replace(workers, application, sockets, leash)
        finally:
            _stop(workers)


@contextlib.contextmanager
def _listening(host: str, port: int, count: int) -> Iterator[list[socket.socket]]:
    """Open sockets on one address, among which the kernel spreads the connections.

    On a single one the first worker to wake would accept a whole burst. They are
    open here too, so that a connection survives the worker it was meant for.
    """
    with contextlib.ExitStack() as opened:
        try:
            sockets = [opened.enter_context(each) for each in _open(host, port, count)]
        except OSError as error:
            reason = str(error.strerror).split(" (")[0]
            raise click.ClickException(
                f"cannot listen on {host}:{port}: {reason}; see what does, or choose another"
            ) from error
        yield sockets


def _open(host: str, port: int, count: int) -> Iterator[socket.socket]:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # Without SO_REUSEPORT, to notice a server that is not ours.
    with socket.create_server(address, family=family) as probe:
        address = probe.getsockname()
    for _ in range(count):
        yield socket.create_server(address, family=family, backlog=_BACKLOG, reuse_port=True)


@contextlib.contextmanager
def _signals() -> Iterator[Connection]:
    """Yield what becomes readable when this process is told to stop."""
    stopped, stop = Pipe(duplex=False)
    before = {
        number: signal.signal(number, lambda *_: stop.send(None))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _leash() -> Iterator[Connection]:
    """Yield a pipe's end that workers read from: it ends with this process, however that ends."""
    reader, writer = Pipe(duplex=False)
    with reader, writer:
        yield reader


def _start(application: str, listener: socket.socket, leash: Connection) -> SpawnProcess:
    worker = _processes.Process(target=_work, args=(application, listener, leash))
    worker.start()
    return worker


def _ended(workers: list[SpawnProcess], stopped: Connection) -> bool:
    """Return whether this process was told to stop, once it was or a worker died."""
    if stopped in wait([stopped, *(worker.sentinel for worker in workers)]):
        return True
    return stopped.poll(RESTART_S)  # so that one that cannot start does not keep us busy


def _replace(
    workers: list[SpawnProcess],
    application: str,
    sockets: list[socket.socket],
    leash: Connection,
) -> None:
    for index, worker in enumerate(workers):
        if not worker.is_alive():
            click.echo(f"a worker ended with {worker.exitcode}; starting another", err=True)
            workers[index] = _start(application, sockets[index], leash)


def _stop(workers: list[SpawnProcess]) -> None:
    deadline = time.monotonic() + GRACE_S
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        worker.kill()


def _work(application: str, listener: socket.socket, leash: Connection) -> None:
    logs.configure()
    threading.Thread(target=_end_with_parent, args=(leash,), daemon=True).start()
    config: dict[str, Any] = {
        "factory": True,
        "loop": "uvloop",
        "http": "httptools",
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "backlog": _BACKLOG,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": DRAIN_S,
    }
    uvicorn.Server(uvicorn.Config(application, **config)).run([listener])


def _end_with_parent(leash: Connection) -> None:
    with contextlib.suppress(EOFError):
        leash.recv()
    os.kill(os.getpid(), signal.SIGTERM)


def _authority(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
