"""The end of workers: none of what they accepted is lost, at a stop and at a rolling restart."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.raw import HEALTH, answers, connect, head, put, receive
from tests.serving import Serving, is_running, serve, until
from tests.test_end_to_end import DEADLINE_S, LOCCTL

QUICK_S = 2.5
DOCKER_S = 10


@pytest.fixture
def serving(mongodb_uri: str, tmp_path: Path) -> Iterator[Serving]:
    with serve(mongodb_uri, tmp_path) as serving:
        yield serving


class Load:
    """Clients in a closed loop: half of them keep their connection, half open one a request."""

    def __init__(self, port: int, clients: int = 12) -> None:
        self._port = port
        self._stop = threading.Event()
        self.outcomes: Counter[str] = Counter()
        loops = [self._keeping, self._opening] * (clients // 2)
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
        return sum(self.outcomes.values())

    def _keeping(self, number: int) -> None:
        last = True
        while not self._stop.is_set():
            if last:
                try:
                    connection = connect(self._port)
                except ConnectionRefusedError:
                    return
            last = self._ask(connection, put(f"k{number}-{time.time_ns()}"))
            if last:
                connection.close()
        if not last:
            connection.close()

    def _opening(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                connection = connect(self._port)
            except ConnectionRefusedError:
                return
            with connection:
                self._ask(connection, put(f"o{number}-{time.time_ns()}", "Connection: close"))

    def _ask(self, connection: socket.socket, request: bytes) -> bool:
        """Count the outcome; return whether the connection has ended."""
        try:
            connection.sendall(request)
            received = answers(receive(connection, 1))
        except OSError as error:
            self.outcomes[type(error).__name__] += 1
            return True
        self.outcomes[str(received[0].status) if received else "no answer"] += 1
        return not received or received[0].headers.get("connection") == "close"


def test_a_stop_under_load_fails_no_request_and_resets_no_connection(serving: Serving) -> None:
    with Load(serving.port).running() as load:
        until(lambda: load.answered() > 200)
        serving.process.terminate()
        start = time.monotonic()
        assert serving.process.wait(DEADLINE_S) == 0
    assert time.monotonic() - start < DOCKER_S
    assert set(load.outcomes) == {"200"}
    assert "Traceback" not in serving.log.read_text()


def test_rolling_restarts_under_load_fail_no_request(serving: Serving) -> None:
    workers = serving.workers()
    with Load(serving.port).running() as load:
        for _ in range(2):
            old = serving.workers()
            serving.process.send_signal(signal.SIGHUP)
            until(lambda old=old: not set(old) & set(serving.workers()))  # type: ignore[misc]
            until(lambda: len(serving.workers()) == 2)
        before = load.answered()
        until(lambda: load.answered() > before + 100)
    assert not any(is_running(worker) for worker in workers)
    assert set(load.outcomes) == {"200"}
    assert load.answered() > 500
    assert serving.log.read_text().count("all workers are replaced") >= 1


def test_a_client_that_is_told_nothing_may_send_once_more(serving: Serving) -> None:
    with connect(serving.port) as idle, connect(serving.port) as silent:
        idle.sendall(HEALTH)
        assert "connection" not in answers(receive(idle, 1))[0].headers
        serving.process.terminate()
        time.sleep(0.8)  # the moment is the point: listening has ended
        idle.sendall(put("late"))
        (answer,) = answers(receive(idle))
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert receive(silent) == b""
    assert serving.process.wait(DEADLINE_S) == 0


def test_a_request_that_never_comes_whole_does_not_hold_up_the_end(serving: Serving) -> None:
    with connect(serving.port) as body, connect(serving.port) as start:
        body.sendall(head("Content-Length: 100") + b"{")
        start.sendall(b"PUT /loc")
        serving.process.terminate()
        begin = time.monotonic()
        assert receive(body) == b""
        assert receive(start) == b""
        assert serving.process.wait(DEADLINE_S) == 0
    assert time.monotonic() - begin < DOCKER_S
    assert "Traceback" not in serving.log.read_text()


def test_what_came_while_workers_still_start_is_answered_before_the_end(
    mongodb_uri: str, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "serve.log"
    command = [str(LOCCTL), "serve", "--port", str(port), "--workers", "1"]
    environ = {**os.environ, "MONGODB_URI": mongodb_uri}
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
    until(lambda: "serving http" in log.read_text())
    with connect(port) as early:
        early.sendall(HEALTH)
        process.terminate()
        assert receive(early).startswith(b"HTTP/1.1 200 OK")
    assert process.wait(DEADLINE_S) == 0


def test_an_interrupt_does_not_linger(serving: Serving) -> None:
    with connect(serving.port) as idle:
        idle.sendall(HEALTH)
        receive(idle, 1)
        serving.process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert receive(idle) == b""
        assert serving.process.wait(DEADLINE_S) == 0
    assert time.monotonic() - start < QUICK_S
    assert "Traceback" not in serving.log.read_text()


def is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def test_the_port_of_a_parent_that_was_killed_is_free_while_its_workers_drain(
    serving: Serving,
) -> None:
    orphans = serving.workers()
    with connect(serving.port) as slow:
        slow.sendall(put("slow")[:-1])
        serving.process.kill()
        serving.process.wait(DEADLINE_S)
        until(lambda: is_free(serving.port))
        assert any(is_running(orphan) for orphan in orphans)
        slow.sendall(b"}")
        (answer,) = answers(receive(slow))
        assert answer.status == 200
    until(lambda: not any(is_running(orphan) for orphan in orphans))


APPLICATION = """
async def application(scope, receive, send):
    await send({{"type": "http.response.start", "status": 200}})
    await send({{"type": "http.response.body", "body": b"{version}"}})

def create():
    return application
"""
RUN = "from cli import workers; workers.run('plain:create', '127.0.0.1', {port}, 1)"


def test_a_restart_brings_new_code_and_code_that_cannot_start_leaves_the_old(
    tmp_path: Path,
) -> None:
    port, log, code = free_port(), tmp_path / "log", tmp_path / "plain.py"
    code.write_text(APPLICATION.format(version="one"))
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def version() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=DEADLINE_S) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    with log.open("w") as out:
        parent = subprocess.Popen(
            [sys.executable, "-c", RUN.format(port=port)], env=environ, stderr=out
        )
    try:
        until(lambda: version() == "one")
        code.write_text(APPLICATION.format(version="two"))
        parent.send_signal(signal.SIGHUP)
        until(lambda: version() == "two")
        code.write_text("raise RuntimeError('broken')")
        parent.send_signal(signal.SIGHUP)
        until(lambda: "a new worker cannot start: it ended with 1" in log.read_text())
        assert version() == "two"
    finally:
        parent.terminate()
        assert parent.wait(DEADLINE_S) == 0
