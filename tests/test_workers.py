"""The server's processes: they share a port, outlive one another, and leave nothing behind."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import a_fix
from tests.serving import Serving, is_running, serve, until
from tests.test_end_to_end import DEADLINE_S, LOCCTL, ask
from tests.test_server import fix


@pytest.fixture
def serving(mongodb_uri: str, tmp_path: Path) -> Iterator[Serving]:
    with serve(mongodb_uri, tmp_path) as serving:
        yield serving


def test_a_worker_that_is_killed_is_replaced(serving: Serving) -> None:
    killed, other = serving.workers()
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(serving.workers()) == 2 and killed not in serving.workers())
    assert other in serving.workers()
    # Connections are spread over both, so some of these wait for the new one, and none is refused.
    for number in range(20):
        assert ask(serving.url, "PUT", "/location", fix(user_id=f"u{number}"))[0] == 200
    assert "a worker ended with -9; starting another" in serving.log.read_text()


def test_workers_end_when_their_parent_is_killed(serving: Serving) -> None:
    workers = serving.workers()
    serving.process.kill()
    serving.process.wait(DEADLINE_S)
    until(lambda: not any(is_running(worker) for worker in workers))


def test_a_port_that_is_taken_is_told(serving: Serving, mongodb_uri: str) -> None:
    second = subprocess.run(
        [LOCCTL, "serve", "--port", str(serving.port)],
        env={**os.environ, "MONGODB_URI": mongodb_uri},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert second.returncode == 1
    assert second.stderr.endswith(
        f"Error: cannot listen on 127.0.0.1:{serving.port}: Address already in use; "
        "see what does, or choose another\n"
    )


def test_clients_that_send_slowly_keep_no_one_waiting(serving: Serving) -> None:
    head = b"PUT /location HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", serving.port)) for _ in range(200)]
    for connection in slow:
        connection.sendall(head)
    start = time.monotonic()
    for number in range(20):
        assert ask(serving.url, "PUT", "/location", fix(user_id=f"u{number}"))[0] == 200
    assert time.monotonic() - start < DEADLINE_S / 2
    for connection in slow:
        connection.close()


def test_a_request_in_flight_is_answered_before_the_end(serving: Serving) -> None:
    body = fix()
    head = f"PUT /location HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with closing(socket.create_connection(("127.0.0.1", serving.port))) as connection:
        connection.sendall(head + body[:10])
        time.sleep(0.2)
        serving.process.terminate()
        time.sleep(0.5)
        connection.sendall(body[10:])
        connection.settimeout(DEADLINE_S)
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
    assert b"connection: close\r\n" in answer
    assert serving.process.wait(DEADLINE_S) == 0
    assert a_fix()["user_id"] not in serving.log.read_text()
