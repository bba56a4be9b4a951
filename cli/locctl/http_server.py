"""Run the API on Granian, which speaks HTTP and supervises the worker processes."""

import logging
import multiprocessing
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.common import AbstractServer

from locapi.errors import LocapiError, Misconfigured
from locapi.text import quantity
from locctl.http_worker import STOP_S, Announcement, Starts, load_application

APPLICATION = "locapi.api.bridge:create_application"
BACKLOG = 2_048
MAX_CONNECTIONS = 4_096  # in one worker
MAX_OPEN_FILES = 65_536
SPARE_FILES = 512  # for the database
MAX_HEAD_BYTES = 16 * 1024
# For a request's head to arrive, and between requests. Load balancers close idle connections
# earlier, so they do not send a request just when the server closes.
HEAD_S = 75
# At a reload, the least time from the start of a new worker to the stop of the old one.
START_S = 2.0
TRIES = 3  # to start each worker
# Granian's own handlers would print to stdout.
_LOGGING: dict[str, Any] = {"formatters": {}, "handlers": {}, "loggers": {}}

_log = logging.getLogger(__name__)

Tls = tuple[Path, Path]  # a certificate chain and its key, as PEM files


class _Stopped(BaseException):
    """SIGTERM or SIGINT has arrived."""


def run(
    host: str, port: int, workers: int, tls: Tls | None = None, application: str = APPLICATION
) -> None:
    """Serve until SIGTERM or SIGINT; the workers finish the requests that have arrived.

    `application` names the function that makes the RSGI application in each worker.
    Raises LocapiError if the address cannot be used, or if the workers end when they start.
    """
    address = _free_address(host, port)
    check_tls(tls)
    multiprocessing.set_start_method("spawn", force=True)  # a fork would never run new code
    server = _configure(application, address, port, workers, tls)
    server.on_startup(lambda: _handle_signals(server, tls))
    url = f"{'https' if tls else 'http'}://{_authority(address, port)}"
    serving = Announcement(
        f"serving {url} with {quantity(workers, 'worker')}",
        multiprocessing.Value("b", not _log.isEnabledFor(logging.INFO)),
    )
    starts = Starts(multiprocessing.Value("i", lock=False), TRIES * workers)
    try:
        server.serve(target_loader=partial(load_application, starts, serving))
    except _Stopped:
        _log.info("stopping: finishing the requests in progress")
        _stop(server)
    except SystemExit as end:
        if end.code != 1:  # Granian's code if a worker ends again as soon as it is replaced
            raise
        starts.give_up()
    if starts.are_exhausted():
        raise LocapiError("the workers fail to start; the error is logged above")


def _configure(
    application: str, address: str, port: int, workers: int, tls: Tls | None
) -> AbstractServer[Any]:
    open_files = _raise_open_files()
    return Granian(
        application,
        address,
        port,
        interface=Interfaces.RSGI,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        workers=workers,
        backlog=BACKLOG,
        # A connection that cannot be accepted would keep the worker busy trying.
        backpressure=min(MAX_CONNECTIONS, max(open_files - SPARE_FILES, open_files // 4)),
        http1_settings=HTTP1Settings(
            header_read_timeout=HEAD_S * 1000, max_buffer_size=MAX_HEAD_BYTES
        ),
        log_level=LogLevels.warning,
        log_dictconfig=_LOGGING,
        ssl_cert=tls[0] if tls else None,
        ssl_key=tls[1] if tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_S,  # type: ignore[arg-type]  # Granian takes fractions, too
    )


def check_tls(tls: Tls | None) -> None:
    """Raise Misconfigured unless the files hold a certificate and its key."""
    if tls:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*tls, password="")
        except OSError as error:  # also the base of ssl.SSLError
            raise Misconfigured(
                f"--tls-cert {tls[0]} and --tls-key {tls[1]} cannot be used: {error.strerror}"
            ) from error


def _free_address(host: str, port: int) -> str:
    """Return the IP address to listen on; Granian would share a port that is in use."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address, family=family).close()
    except OSError as error:
        in_use = "address in use. Stop the other process or choose another port with --port."
        why = in_use if "in use" in str(error) else f"{error.strerror}."
        raise LocapiError(f"cannot listen on {_authority(host, port)}: {why}") from error
    return str(address[0])


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _raise_open_files() -> int:
    """Allow this process and its children as many open files as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def _handle_signals(server: AbstractServer[Any], tls: Tls | None) -> None:
    """Let both stop signals end a reload, too, and check the installed code before a reload."""

    def interrupt() -> None:
        signal.sigwait({signal.SIGINT})
        os.kill(os.getpid(), signal.SIGTERM)

    def stop(*_: Any) -> None:
        if len(server.wrks) < server.workers:  # one is being started; try again when it is
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            return
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        raise _Stopped

    def reload(*_: Any) -> None:
        start = time.monotonic()
        if problem := _reload_problem(tls):
            _log.error("the workers were not replaced: %s", problem)
            return
        # The check did what a worker does before it listens.
        server.respawn_interval = max(START_S, 2 * (time.monotonic() - start))
        _log.info("replacing %s, one after the other", quantity(server.workers, "worker"))
        server.signal_handler_reload()  # type: ignore[no-untyped-call]

    resource_tracker.ensure_running()  # because its start unblocks SIGINT
    # Ctrl-C reaches every process of a terminal; workers inherit that they do not see it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    threading.Thread(target=interrupt, daemon=True).start()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGHUP, reload)


def _stop(server: AbstractServer[Any]) -> None:
    """Stop all workers, also one that a reload has replaced and not stopped yet."""
    deadline = time.monotonic() + STOP_S
    workers = multiprocessing.active_children()
    for worker in workers:
        worker.terminate()
    # To Granian it is a failure that a worker ends before it says so, as when systemd stops all.
    with suppress(SystemExit):
        server.shutdown()  # type: ignore[no-untyped-call]
    for worker in workers:
        worker.join(max(0, deadline - time.monotonic()))
        worker.kill()


def _reload_problem(tls: Tls | None) -> str | None:
    """Return why new workers could not start, as far as that can be known before."""
    try:
        check_tls(tls)
    except Misconfigured as error:
        return str(error)
    module, function = APPLICATION.split(":")
    command = [sys.executable, "-c", f"import {module} as bridge; bridge.{function}()"]
    started = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if started.returncode:
        return f"the installed code fails with {started.stderr.strip().rpartition(chr(10))[2]}"
    return None
