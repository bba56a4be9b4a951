"""Measure PUT while clients read minutes, some fast, some slowly."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import raw
from benchmarks.harness import Row, Target, interleave
from benchmarks.load import STORED, Load, drive
from benchmarks.serving import LOCCTL_SERVE, Server, scratch, serving
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import migrate, mongo

EXPORTS = 8
SLOW = 150  # clients that ask for minutes and read nothing
USERS = 100
MINUTES = 20_000
DEADLINE_S = 120


def measure() -> list[Row]:
    """Return the 99th percentile of PUT alone, beside exports, and beside slow readers."""
    with scratch() as home:
        with mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
            migrate.prepare(database)
            raw.receive(database, raw.arriving(USERS, MINUTES, 60))
            fold_new_fixes(database)
        with serving(LOCCTL_SERVE, home) as api:
            loads = interleave(
                {
                    "alone": partial(drive, api.port, STORED),
                    "exports": partial(_beside_exports, api),
                    "slow": partial(_beside_slow_readers, api),
                }
            )
    label, unit, target = "PUT, 99th percentile", "ms", Target(at_most=2)
    alone = Row(f"{label}, no readers", unit, _p99(loads["alone"]))
    exports = Row(f"{label}, {EXPORTS} exports", unit, _p99(loads["exports"]), alone, target)
    slow = Row(f"{label}, {SLOW} slow readers", unit, _p99(loads["slow"]), alone, target)
    return [exports, slow, alone]


def _p99(loads: list[Load]) -> list[float]:
    return [load.p99_ms for load in loads]


def _beside_exports(api: Server) -> Load:
    stop = threading.Event()
    readers = [threading.Thread(target=_export, args=(api.port, stop)) for _ in range(EXPORTS)]
    for reader in readers:
        reader.start()
    try:
        return drive(api.port, STORED)
    finally:
        stop.set()
        for reader in readers:
            reader.join(DEADLINE_S)


def _export(port: int, stop: threading.Event) -> None:
    while not stop.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        connection.request("GET", "/minutes")
        response = connection.getresponse()
        while response.read(1 << 16):
            pass
        connection.close()
        if response.status == 500:  # too many wait, of those that the last round left behind
            time.sleep(0.2)
        elif response.status != 200:
            raise RuntimeError(f"GET /minutes: {response.status}")


def _beside_slow_readers(api: Server) -> Load:
    with _slow_readers(api.port):
        return drive(api.port, STORED)


@contextmanager
def _slow_readers(port: int) -> Iterator[None]:
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(SLOW)]
    try:
        for connection in connections:
            connection.sendall(b"GET /minutes HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield
    finally:
        for connection in connections:
            connection.close()
        time.sleep(1)  # until the files that were being sent are closed
