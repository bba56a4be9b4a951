"""The life of `locctl serve`: it loses no answered fix, replaces workers and leaves none behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymongo
import pytest

from locapi.storage.documents import FIXES, Document
from tests.conftest import free_port
from tests.support.fixes import fix
from tests.support.processes import DEADLINE_S, ask, is_running, listens, until
from tests.support.raw import answers, connect, head, put, receive
from tests.support.serving import Serving, serve

RELOAD_S = 150
BROKEN = ("BrokenPipeError", "ConnectionRefusedError", "ConnectionResetError")


@pytest.fixture
def serving(mongodb_uri: str, tmp_path: Path) -> Iterator[Serving]:
    with serve(mongodb_uri, tmp_path) as serving:
        yield serving


class Load:
    """Clients in a closed loop: half of them keep their connection, half open one a request."""

    def __init__(self, port: int, clients: int = 6) -> None:
        self._port, self.clients = port, clients
        self._stop = threading.Event()
        self.kept: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.stored: set[str] = set()
        loops = [self._keep, self._open] * (clients // 2)
        self._threads = [threading.Thread(target=loop, args=(n,)) for n, loop in enumerate(loops)]

    @contextmanager
    def running(self) -> Iterator["Load"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(DEADLINE_S)

    def answered(self) -> int:
        return self.kept["200"] + self.opened["200"]

    def _keep(self, number: int) -> None:
        connection = None
        while not self._stop.is_set():
            try:
                connection = connection or connect(self._port)
                outcome = self._send(connection, f"k{number}-{time.time_ns()}")
            except ConnectionError as error:
                outcome = type(error).__name__
            self.kept[outcome] += 1
            if connection and outcome != "200":
                connection.close()
                connection = None
        if connection:
            connection.close()

    def _open(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                with connect(self._port) as connection:
                    outcome = self._send(connection, f"o{number}-{time.time_ns()}")
            except ConnectionError as error:
                outcome = type(error).__name__
            self.opened[outcome] += 1

    def _send(self, connection: socket.socket, user_id: str) -> str:
        connection.sendall(put(user_id))
        received = answers(receive(connection, 1))
        if received and received[0].status == 200:
            self.stored.add(user_id)
        return str(received[0].status) if received else "closed"


def stored(serving: Serving, mongodb_uri: str) -> set[str]:
    with pymongo.MongoClient[Document](mongodb_uri) as client:
        return set(client[serving.database][FIXES].distinct("user_id"))


def test_stop_under_load_keeps_every_answered_fix(serving: Serving, mongodb_uri: str) -> None:
    with Load(serving.port).running() as load:
        until(lambda: load.answered() > 200)
        serving.process.terminate()
        assert serving.process.wait(DEADLINE_S) == 0
    assert load.stored <= stored(serving, mongodb_uri)
    assert set(load.kept) | set(load.opened) <= {"200", "closed", *BROKEN}
    assert "Traceback" not in serving.log.read_text()


def test_reload_under_load_refuses_no_new_connection(serving: Serving, mongodb_uri: str) -> None:
    old = serving.workers()
    with Load(serving.port).running() as load:
        until(lambda: load.answered() > 200)
        serving.process.send_signal(signal.SIGHUP)
        until(
            lambda: serving.replaced(old) and not any(map(is_running, old)), "the reload", RELOAD_S
        )
        before = load.answered()
        until(lambda: load.answered() > before + 100)
    assert set(load.opened) == {"200"}
    # A request that meets the end of its connection is sent again on a new one.
    assert load.kept.total() - load.kept["200"] <= load.clients
    assert set(load.kept) <= {"200", "closed", *BROKEN}
    assert load.stored <= stored(serving, mongodb_uri)
    assert "Traceback" not in serving.log.read_text()


def test_reload_keeps_the_workers_if_the_installed_code_fails(
    mongodb_uri: str, tmp_path: Path
) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    with serve(mongodb_uri, tmp_path, environ={"PYTHONPATH": str(installed)}) as serving:
        workers = serving.workers()
        (installed / "flask.py").write_text("raise RuntimeError('broken')")
        serving.process.send_signal(signal.SIGHUP)
        until(lambda: "not replaced: the installed code fails with" in serving.log.read_text())
        assert ask(serving.url, "GET", "/health")[0] == 200
        assert serving.workers() == workers


def test_request_in_flight_is_answered_before_the_end(serving: Serving) -> None:
    request = put("slow")
    with connect(serving.port) as connection:
        connection.sendall(request[:-10])
        ask_each_worker(serving)  # so that this connection was accepted, too
        serving.process.terminate()
        until(lambda: not listens(serving.port))
        connection.sendall(request[-10:])
        (answer,) = answers(receive(connection))
    assert answer.status == 200
    assert serving.process.wait(DEADLINE_S) == 0


def test_request_that_never_arrives_does_not_hold_up_the_end(serving: Serving) -> None:
    with connect(serving.port) as body, connect(serving.port) as start:
        body.sendall(head("Content-Length: 100") + b"{")
        start.sendall(b"PUT /loc")
        ask_each_worker(serving)
        serving.process.terminate()
        assert serving.process.wait(DEADLINE_S) == 0
    assert "Traceback" not in serving.log.read_text()


def test_stop_during_a_reload_does_not_wait_for_it(serving: Serving) -> None:
    old = serving.workers()
    serving.process.send_signal(signal.SIGHUP)
    until(lambda: len(serving.workers()) > len(old))
    every = serving.workers()
    serving.process.terminate()
    assert serving.process.wait(DEADLINE_S) == 0
    assert not any(is_running(worker) for worker in every)
    # Only the worker that was about to be replaced: the reload has not gone on.
    assert serving.log.read_text().count("Unexpected exit") <= 1
    assert "Traceback" not in serving.log.read_text()


def test_stop_signal_to_a_whole_service_is_no_failure(serving: Serving) -> None:
    """As systemd sends it: to every process."""
    for pid in (*serving.workers(), serving.process.pid):
        os.kill(pid, signal.SIGTERM)
    assert serving.process.wait(DEADLINE_S) == 0


def ask_each_worker(serving: Serving) -> None:
    for _ in range(20):
        assert ask(serving.url, "GET", "/health")[0] == 200


def test_killed_worker_is_replaced(serving: Serving) -> None:
    killed, other = serving.workers()
    os.kill(killed, signal.SIGKILL)
    until(lambda: serving.replaced([killed]))
    assert other in serving.workers()
    for number in range(20):
        assert ask(serving.url, "PUT", "/location", fix(user_id=f"u{number}"))[0] == 200
    assert "Unexpected exit from worker" in serving.log.read_text()


def test_workers_end_and_free_the_port_when_their_parent_is_killed(serving: Serving) -> None:
    workers = serving.workers()
    request = put("slow")
    with connect(serving.port) as slow:
        slow.sendall(request[:-1])
        ask_each_worker(serving)
        serving.process.kill()
        serving.process.wait(DEADLINE_S)
        until(lambda: not listens(serving.port))
        slow.sendall(request[-1:])
        (answer,) = answers(receive(slow))
        assert answer.status == 200
    until(lambda: not any(is_running(worker) for worker in workers))


def run_application(directory: Path, source: str, setup: str = "") -> tuple[int, str]:
    """Serve an application of this source until it ends; return the exit code and the log."""
    (directory / "application.py").write_text(source)
    program = (
        "from locctl import http_server\n"
        f"{setup}\n"
        "if __name__ == '__main__':\n"
        f"    http_server.run('127.0.0.1', {free_port()}, 1, application='application:create')\n"
    )
    (directory / "start.py").write_text(program)
    command = [sys.executable, str(directory / "start.py")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    return ended.returncode, ended.stderr


BROKEN_APPLICATION = """
def create():
    open(__file__ + '.starts', 'a').write('x')
    raise RuntimeError('secret')
"""
REASON = "LocapiError: the workers fail to start; the error is logged above\n"


@pytest.mark.parametrize(("setup", "starts"), [("", 2), ("http_server.TRIES = 1", 1)])
def test_worker_that_cannot_start_ends_the_server_with_its_reason(
    tmp_path: Path, setup: str, starts: int
) -> None:
    """Granian ends it when a worker fails soon after another; else we do after some tries."""
    code, log = run_application(tmp_path, BROKEN_APPLICATION, setup)
    assert code == 1
    assert "a worker cannot start: RuntimeError at" in log
    assert "secret" not in log
    assert log.endswith(REASON)
    assert (tmp_path / "application.py.starts").read_text() == "x" * starts
