"""The end of a connection: a last answer, and no reset that could overtake it."""

import asyncio
import json
from typing import ClassVar

from locapi.errors import RETRY_AFTER_S

LINGER_S = 2
MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 100


def _ready_made(status: str, code: str, message: str, *headers: str) -> bytes:
    body = json.dumps({"error": {"code": code, "message": message}}, separators=(",", ":")) + "\n"
    head = [
        f"HTTP/1.1 {status}",
        "content-type: application/json",
        "x-content-type-options: nosniff",
        f"content-length: {len(body)}",
        "connection: close",
        *headers,
    ]
    return ("\r\n".join([*head, "", body])).encode()


MALFORMED = _ready_made("400 Bad Request", "bad_request", "this is not HTTP as it must be")
TOO_LARGE = _ready_made(
    "400 Bad Request",
    "bad_request",
    f"a request has at most {MAX_HEAD_BYTES // 1024} KiB beside its body, "
    f"and {MAX_HEADERS} headers",
)
OVERLOADED = _ready_made(
    "500 Internal Server Error",
    "overloaded",
    "too many requests at once; try again",
    f"retry-after: {RETRY_AFTER_S}",
)


class Lingering(asyncio.Protocol):
    """The end of a connection: what the client still sends is dropped, so that it sees no reset.

    The kernel resets a connection that is closed while something received is unread,
    and the client may then lose the answer that was on its way.
    """

    alive: ClassVar[set["Lingering"]] = set()
    most = 256  # in this process

    def __init__(self, transport: asyncio.Transport) -> None:
        Lingering.alive.add(self)
        transport.set_protocol(self)
        transport.write_eof()
        transport.resume_reading()
        self._end = asyncio.get_running_loop().call_later(LINGER_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        """Forget it."""
        self._end.cancel()
        Lingering.alive.discard(self)


def part(transport: asyncio.Transport, answer: bytes = b"") -> None:
    """Send a last answer and close, without a reset unless too many linger already."""
    if transport.is_closing():
        return
    transport.write(answer)
    if len(Lingering.alive) < Lingering.most:
        Lingering(transport)
    else:
        transport.close()
