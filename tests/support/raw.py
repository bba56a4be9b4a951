"""Send raw bytes to an HTTP server, and parse its responses."""

import json
import re
import socket
import time
from typing import Any, NamedTuple

from tests.conftest import a_fix

DEADLINE_S = 20
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> Any:
        return json.loads(self.body)["error"]["code"]


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)


def head(*headers: str, start: str = "", target: str = "/location", version: str = "1.1") -> bytes:
    """Return the head of a PUT, or of what `start` says."""
    lines = [f"{start or f'PUT {target}'} HTTP/{version}", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


def put(user_id: str, *headers: str, version: str = "1.1", body: bytes | None = None) -> bytes:
    """Return a whole request, which stores a fix of this user unless it has another body."""
    if body is None:
        body = json.dumps(a_fix(user_id=user_id)).encode()
    return head(f"Content-Length: {len(body)}", *headers, version=version) + body


def receive(connection: socket.socket, count: int | None = None, until: bytes = b"") -> bytes:
    """Return what comes until so many answers, or these bytes, have come; else to the end.

    A connection that is reset is an error, and so is one that stays open beyond the deadline.
    """
    received = b""
    deadline = time.monotonic() + DEADLINE_S
    while chunk := connection.recv(65_536):
        received += chunk
        assert time.monotonic() < deadline
        if until and received.endswith(until):
            break
        if count is not None and len(answers(received, whole=False)) >= count:
            break
    return received


def answers(received: bytes, *, whole: bool = True) -> list[Answer]:
    """Parse responses; with `whole`, nothing may be left over."""
    found = []
    while b"\r\n\r\n" in received:
        top, _, rest = received.partition(b"\r\n\r\n")
        start, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        status = re.fullmatch(r"HTTP/1\.[01] ([1-5][0-9][0-9]) .*", start)
        assert status, start
        size = int(headers.get("content-length", 0))
        if len(rest) < size:
            break
        found.append(Answer(int(status[1]), headers, rest[:size]))
        received = rest[size:]
    assert not (whole and received), received
    return found
