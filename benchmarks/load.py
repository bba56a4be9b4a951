"""Send PUTs over keep-alive connections, the next as soon as the last is answered.

Runs as a process of its own, so that its CPU time is not counted as the caller's.
"""

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from statistics import quantiles

CONNECTIONS = 32
SECONDS = 2.0
MOST = 60_000
ANSWER_S = 30
USERS = 1_000
STORED = '"stored"'
ECHOED = '"user_id"'
EPOCH_S = 100_000  # some 70 days from 2017 on, at a minute a second
# One a continent, and the sea: what a zone costs depends on where it is.
PLACES = [
    (40.71, -74.0),
    (-23.55, -46.63),
    (48.85, 2.35),
    (-1.29, 36.82),
    (28.61, 77.21),
    (-33.87, 151.21),
    (35.0, -40.0),
]

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """The result of a load: answers, also by the second, and how long they took."""

    answers: int
    rate: float
    p50_ms: float
    p99_ms: float


def drive(
    port: int,
    expect: str,
    connections: int = CONNECTIONS,
    senders: Path | None = None,
    count: int | None = None,
    batch: int | None = None,
) -> Load:
    """Load the server on this port for some seconds; every answer must be 200 and hold `expect`.

    With a `batch`, each request is a POST of so many fixes.

    With a `count` it sends just so many, however long that takes. `senders` has a line a
    user: name and token, separated by a tab; where the token is empty, none is sent.
    Without senders the users have new names each time, and no token.
    """
    command = [sys.executable, "-m", "benchmarks.load", str(port), expect, str(connections)]
    command += ["" if senders is None else str(senders), str(count or ""), str(batch or "")]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603  all ours
    return Load(**json.loads(done.stdout))


def bodies(users: Sequence[str], start: datetime) -> Iterator[str]:
    """Yield valid fixes of the users as JSON, one of each and then the next, in order of time."""
    for number in range(MOST):
        lat, long = PLACES[number % len(PLACES)]
        fix = {
            "timestamp": (start + timedelta(seconds=number // len(users))).isoformat(" ") + ".919",
            "lat": lat + number % 97 / 1000,
            "long": long + number % 89 / 1000,
            "accuracy": 5 + number % 20,
            "speed": number % 30 / 10,
            "user_id": users[number % len(users)],
        }
        yield json.dumps(fix)


def _requests(senders: Path | None, batch: int | None) -> list[bytes]:
    """Return requests whose fixes are all new."""
    start = datetime(2017, 7, 30)  # noqa: DTZ001  what a device sends has no zone
    if senders is None:
        run = f"{time.time_ns():x}"
        new = bodies([f"{run}-{n}" for n in range(USERS)], start)
        return [*map(_request, new)] if batch is None else [*_batches(new, batch)]
    users, tokens = zip(
        *(line.split("\t") for line in senders.read_text().splitlines()), strict=True
    )
    # The users are those of the last time, and their fixes later: a minute a second.
    start += timedelta(minutes=int(time.time()) % EPOCH_S)
    return [
        _request(body, f"Authorization: Bearer {token}\r\n" if token else "")
        for token, body in zip(cycle(tokens), bodies(users, start), strict=False)
    ]


def _batches(fixes: Iterator[str], size: int) -> Iterator[bytes]:
    while some := list(islice(fixes, size)):
        yield _request("\n".join(some), start="POST /locations")


def _request(body: str, header: str = "", start: str = "PUT /location") -> bytes:
    head = f"{start} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}{header}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._sent_at = 0.0

    def send(self, request: bytes) -> None:
        self._sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self, expect: bytes) -> float | None:
        """Take what has come; return the seconds it took once the answer is whole and right."""
        chunk = self.socket.recv(65_536)
        self._received += chunk
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = _CONTENT_LENGTH.search(head)
        if chunk and not (blank and length and len(body) >= int(length[1])):
            return None
        if not head.startswith(b"HTTP/1.1 200") or expect not in body:
            sys.exit(f"not the answer that was expected: {self._received!r}")
        self._received = b""
        return time.perf_counter() - self._sent_at


def _run(
    port: int,
    expect: bytes,
    connections: int,
    senders: Path | None,
    count: int | None,
    batch: int | None,
) -> Load:
    requests = islice(_requests(senders, batch), count)
    selector = selectors.DefaultSelector()
    for connection in [_Connection(port) for _ in range(connections)]:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    start = time.perf_counter()
    for key in list(selector.get_map().values()):
        if (request := next(requests, None)) is not None:
            key.data.send(request)
        else:
            selector.unregister(key.data.socket)
    latencies: list[float] = []
    while selector.get_map():
        for key, _ in selector.select(ANSWER_S) or sys.exit("no answer any more"):
            if (seconds := key.data.receive(expect)) is None:
                continue
            latencies.append(seconds)
            more = count is not None or time.perf_counter() - start < SECONDS
            if more and (request := next(requests, None)) is not None:
                key.data.send(request)
            else:
                selector.unregister(key.data.socket)
    elapsed = time.perf_counter() - start
    percentiles = [seconds * 1000 for seconds in quantiles(latencies, n=100)]
    return Load(len(latencies), len(latencies) / elapsed, percentiles[49], percentiles[98])


if __name__ == "__main__":
    port, expect, connections, senders, count, batch = sys.argv[1:]
    load = _run(
        int(port),
        expect.encode(),
        int(connections),
        Path(senders) if senders else None,
        int(count) if count else None,
        int(batch) if batch else None,
    )
    json.dump(vars(load), sys.stdout)
