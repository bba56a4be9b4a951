"""Too many clients, slow ones and endless ones: memory stays bounded, honest clients are served."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from cli.connections import ARRIVAL_S, Connection
from tests.raw import DEADLINE_S, HEALTH, Answer, answers, connect, head, put, receive
from tests.serving import Serving, serve, until

CLIENTS = 2_000
# Of two workers, while 2,000 connections each hold all that one may make them hold.
MOST_MORE_MB = 160


@pytest.fixture
def serving(mongodb_uri: str, tmp_path: Path) -> Iterator[Serving]:
    with serve(mongodb_uri, tmp_path) as serving:
        yield serving


class Crowd:
    """Many connections of this process, which send without waiting for anything."""

    def __init__(self, port: int, size: int) -> None:
        self._sockets = [connect(port) for _ in range(size)]
        for each in self._sockets:
            each.setblocking(False)

    def send(self, data: bytes, clients: slice = slice(None)) -> int:
        """Send what fits into the kernel's buffers; return how many bytes did."""
        sent = 0
        for each in self._sockets[clients]:
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                sent += each.send(data)
        return sent

    def close(self) -> None:
        for each in self._sockets:
            each.close()


def ask(port: int, request: bytes) -> Answer:
    with connect(port) as connection:
        connection.sendall(request)
        return answers(receive(connection, 1))[0]


def see_that_honest_clients_are_served(serving: Serving, name: str) -> None:
    start = time.monotonic()
    for number in range(10):
        assert ask(serving.port, HEALTH).status == 200
        assert ask(serving.port, put(f"{name}-{number}")).status == 200
    assert time.monotonic() - start < DEADLINE_S / 2


def connected(serving: Serving) -> int:
    """Return how many sockets the workers hold."""
    files = (Path(f"/proc/{pid}/fd") for pid in serving.workers())
    return sum(_is_socket(each) for directory in files for each in directory.iterdir())


def _is_socket(file: Path) -> bool:
    try:
        return file.readlink().name.startswith("socket:")
    except FileNotFoundError:
        return False


def test_thousands_of_bad_clients_cost_bounded_memory_and_keep_no_one_waiting(
    serving: Serving,
) -> None:
    see_that_honest_clients_are_served(serving, "before")
    memory, sockets = serving.memory_mb(), connected(serving)
    crowd = Crowd(serving.port, CLIENTS)
    try:
        until(lambda: connected(serving) >= CLIENTS)
        see_that_honest_clients_are_served(serving, "idle")
        part = CLIENTS // 5  # the last fifth never sends anything
        crowd.send(put("slow")[:100], slice(0, part))
        crowd.send(head("Content-Length: 1000000"), slice(part, 2 * part))
        crowd.send(head("Transfer-Encoding: chunked"), slice(2 * part, 3 * part))
        crowd.send(b"PUT /location HTTP/1.1\r\nHost: x\r\nX: ", slice(3 * part, 4 * part))
        for second in range(4):
            crowd.send(b"3", slice(0, part))
            crowd.send(b" " * 65_536, slice(part, 2 * part))
            crowd.send(b"10000\r\n" + b" " * 65_536 + b"\r\n", slice(2 * part, 3 * part))
            crowd.send(b"y" * 5_000, slice(3 * part, 4 * part))
            see_that_honest_clients_are_served(serving, f"during-{second}")
            assert serving.memory_mb() < memory + MOST_MORE_MB
    finally:
        crowd.close()
    until(lambda: connected(serving) <= sockets + 10)
    see_that_honest_clients_are_served(serving, "after")
    # What Python and the C library have freed they keep in part, so a second crowd finds it there.
    again = Crowd(serving.port, CLIENTS)
    again.send(head("Content-Length: 1000000"))
    until(lambda: connected(serving) >= CLIENTS)
    again.close()
    until(lambda: connected(serving) <= sockets + 10)
    assert serving.memory_mb() < memory + MOST_MORE_MB
    assert "Traceback" not in serving.log.read_text()


def test_connections_beyond_the_bound_get_a_quick_500_and_the_files_do_not_run_out(
    mongodb_uri: str, tmp_path: Path
) -> None:
    few_files = ("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh")
    with serve(mongodb_uri, tmp_path, workers=1, prefix=few_files) as serving:
        workers = serving.workers()
        crowd = [connect(serving.port) for _ in range(300)]
        (refused,) = answers(receive(crowd[-1]))
        assert (refused.status, refused.code) == (500, "overloaded")
        assert refused.headers["retry-after"] == "2"
        assert refused.headers["content-type"] == "application/json"
        crowd[0].sendall(HEALTH)
        assert answers(receive(crowd[0], 1))[0].status == 200
        for each in crowd:
            each.close()
        until(lambda: ask_status(serving.port) == 200)
        see_that_honest_clients_are_served(serving, "after")
        assert serving.workers() == workers
        assert "Traceback" not in serving.log.read_text()


def ask_status(port: int) -> int:
    return ask(port, HEALTH).status


def test_a_refused_client_that_sends_on_still_reads_the_answer(
    mongodb_uri: str, tmp_path: Path
) -> None:
    few_files = ("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh")
    with serve(mongodb_uri, tmp_path, workers=1, prefix=few_files) as serving:
        crowd = [connect(serving.port) for _ in range(64)]
        with connect(serving.port) as late:
            late.sendall(put("late", body=b" " * 100_000))
            (answer,) = answers(receive(late))
        assert (answer.status, answer.code) == (500, "overloaded")
        for each in crowd:
            each.close()


def test_what_does_not_come_in_time_is_closed_and_what_is_answered_is_not() -> None:
    """One connection each way; the times of the checks are given."""
    asyncio.run(asyncio.wait_for(_late_clients(), DEADLINE_S))


async def _late_clients() -> None:
    answer = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        if scope["path"] == "/slow":
            await answer.wait()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x"})

    state = ServerState()
    config = uvicorn.Config(application, log_level="error")
    listener = await asyncio.get_running_loop().create_server(
        lambda: Connection(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    port = listener.sockets[0].getsockname()[1]
    sent = {
        "silent": b"",
        "head": b"PUT /x HT",
        "body": head("Content-Length: 9", target="/x") + b"{",
        "blank": head(target="/x") + b"\r\n",
        "kept": head(target="/x"),
        "answered": head(target="/slow"),
    }
    clients = {name: await asyncio.open_connection("127.0.0.1", port) for name in sent}
    for name, (_, writer) in clients.items():
        writer.write(sent[name])
    for name in ("blank", "kept"):
        await clients[name][0].readuntil(b"0\r\n\r\n")
    clients["blank"][1].write(b"\r\n")
    while sum(each.scope is not None for each in state.connections) < 5:  # type: ignore[union-attr]
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)  # for what was sent last
    _check(state, 0)
    _check(state, ARRIVAL_S - 1)
    assert len(state.connections) == 6
    clients["body"][1].write(b"1")  # a byte now and then is no progress
    await asyncio.sleep(0.1)
    _check(state, ARRIVAL_S + 1)
    for name in ("silent", "head", "body", "blank"):
        assert await clients[name][0].read() == b"", name
    assert len(state.connections) == 2
    answer.set()
    await clients["answered"][0].readuntil(b"0\r\n\r\n")
    await _close([writer for _, writer in clients.values()])
    listener.close()


async def _close(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
        await writer.wait_closed()


def _check(state: ServerState, now: float) -> None:
    for each in list(state.connections):
        each.check(now)  # type: ignore[union-attr]
