"""Too many clients, slow ones and endless ones: memory stays bounded, others are served."""

import contextlib
import socket
import time
from pathlib import Path

from tests.support.processes import until
from tests.support.raw import HEALTH, Answer, answers, connect, head, put, receive
from tests.support.serving import Serving, serve

SLOW = 400  # of each kind
ENDLESS = 100
MOST_MORE_MB = 120  # of two workers


class Crowd:
    """Connections that send without waiting for anything."""

    def __init__(self, port: int, size: int) -> None:
        self.sockets = [connect(port) for _ in range(size)]
        for each in self.sockets:
            each.setblocking(False)

    def send(self, data: bytes) -> None:
        """Send what fits into the kernel's buffers."""
        for each in self.sockets:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                each.send(data)

    def ended(self) -> int:
        """Return how many connections have a response, or have ended."""
        return sum(map(_has_ended, self.sockets))

    def close(self) -> None:
        for each in self.sockets:
            each.close()


def _has_ended(connection: socket.socket) -> bool:
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def ask(port: int, request: bytes) -> Answer:
    with connect(port) as connection:
        connection.sendall(request)
        return answers(receive(connection, 1))[0]


def check_others_are_served(serving: Serving, name: str) -> None:
    start = time.monotonic()
    for number in range(10):
        assert ask(serving.port, HEALTH).status == 200
        assert ask(serving.port, put(f"{name}-{number}")).status == 200
    assert time.monotonic() - start < 10


def test_slow_and_endless_clients_cost_bounded_memory_and_block_no_others(
    mongodb_uri: str, tmp_path: Path
) -> None:
    with serve(mongodb_uri, tmp_path) as serving:
        check_others_are_served(serving, "before")
        memory = serving.memory_mb()
        bodies, heads = Crowd(serving.port, SLOW), Crowd(serving.port, SLOW)
        sized, chunked = Crowd(serving.port, ENDLESS), Crowd(serving.port, ENDLESS)
        bodies.send(head("Content-Length: 1000"))
        heads.send(b"PUT /location HTTP/1.1\r\nHost: x\r\nX: ")
        sized.send(head("Content-Length: 10000000000"))
        chunked.send(head("Transfer-Encoding: chunked"))
        rounds = 0
        while sized.ended() + chunked.ended() < 2 * ENDLESS or rounds < 4:
            bodies.send(b" ")
            heads.send(b"y")
            sized.send(b" " * 65_536)
            chunked.send(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            check_others_are_served(serving, f"round-{rounds}")
            assert serving.memory_mb() < memory + MOST_MORE_MB
            rounds += 1
            assert rounds < 100
        assert bodies.ended() == heads.ended() == 0
        for crowd in (bodies, heads, sized, chunked):
            crowd.close()
        check_others_are_served(serving, "after")
        assert "Traceback" not in serving.log.read_text()


def test_connections_beyond_the_limit_wait_and_open_files_do_not_run_out(
    mongodb_uri: str, tmp_path: Path
) -> None:
    few_files = ("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh")
    with serve(mongodb_uri, tmp_path, workers=1, prefix=few_files) as serving:
        workers = serving.workers()
        crowd = Crowd(serving.port, 300)
        with connect(serving.port) as late:
            late.sendall(HEALTH)
            assert not _has_ended_within(late, 0.5)
            crowd.close()
            (answer,) = answers(receive(late, 1))
        assert answer.status == 200
        check_others_are_served(serving, "after")
        assert serving.workers() == workers
        assert "Traceback" not in serving.log.read_text()


def _has_ended_within(connection: socket.socket, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return False
    finally:
        connection.settimeout(20)
    return True


def test_worker_survives_clients_that_leave_amid_their_bodies(
    mongodb_uri: str, tmp_path: Path
) -> None:
    with serve(mongodb_uri, tmp_path, workers=1) as serving:
        workers = serving.workers()
        crowd = Crowd(serving.port, 200)
        crowd.send(put("leaving")[:-5])
        crowd.close()
        check_others_are_served(serving, "after")
        until(lambda: serving.workers() == workers)
        assert "Traceback" not in serving.log.read_text()
