"""A client's connection: uvicorn's, with bounds on what it may send and how long it may take."""

import asyncio
import json
import sys
from typing import Any, ClassVar, cast

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from locapi.api import RETRY_AFTER_S

ARRIVAL_S = 20  # for a request to come whole, and for an answer to be taken
LINGER_S = 2
MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 100
MAX_CONNECTIONS = 4_096
MAX_PIPELINED = 32
MAX_LINGERING = 256
_SLICE_BYTES = 8 * 1024


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
    if len(Lingering.alive) < MAX_LINGERING:
        Lingering(transport)
    else:
        transport.close()


class _Parting:
    """A transport whose end is a parting; for a request after which uvicorn closes."""

    def __init__(self, connection: "Connection") -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.leave


class Connection(HttpToolsProtocol):
    """What uvicorn does, within bounds.

    A request takes some 150 µs, so what costs time is left to `check`, called once a second.
    """

    max_connections = MAX_CONNECTIONS  # of this process

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running: RequestResponseCycle | None = None
        self._beside_body = 0  # bytes received of a request that is not whole yet
        self._slice = b""  # what is being parsed
        self._fault = MALFORMED
        self._refusal: bytes | None = None  # to be sent once earlier requests are answered
        self._last = False  # the next answer is the last
        self._awaited: object = None
        self._awaited_since = 0.0

    # What uvicorn and the event loop call.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many."""
        if len(self.connections) >= self.max_connections:
            part(transport, OVERLOADED)
        else:
            super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let no request go on to answer."""
        if self._running is not None:
            self._running.disconnected = True
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, in slices: what is left of a head cannot then grow unseen."""
        for start in range(0, len(data), _SLICE_BYTES):
            if self.parser is None or self._refusal is not None:
                return
            self._feed(data[start : start + _SLICE_BYTES])

    def _feed(self, data: bytes) -> None:
        self._beside_body += len(data)
        self._slice = data
        super().data_received(data)
        cycle = self.cycle
        if cycle is None or cycle.scope is not self.scope or cycle.more_body:
            self._arriving()
        else:
            self._beside_body = 0

    def _arriving(self) -> None:
        if self.parser is None or self._refusal is not None:
            return
        if self._beside_body > MAX_HEAD_BYTES + _SLICE_BYTES:
            self._refuse(TOO_LARGE)
        elif self.cycle is not None and self.cycle.more_body:
            self.cycle.transport = _Parting(self)  # type: ignore[assignment]  # it may be cut off

    def on_headers_complete(self) -> None:
        """Begin a request, unless its head is too large or too many wait before it."""
        if len(self.headers) > MAX_HEADERS or (
            self._beside_body > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES
        ):
            self._fault = TOO_LARGE
            raise ValueError
        if len(self.pipeline) >= MAX_PIPELINED:
            self._fault = OVERLOADED
            raise ValueError
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is not None and (self._last or not cycle.keep_alive):
            self._end_after(cycle)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._beside_body -= len(body)
        super().on_body(body)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on with the next request, or refuse what came instead of one."""
        if self.parser is None:
            return
        super().on_response_complete()
        if self._refusal is not None and self._is_answered():
            self.leave(self._refusal)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that has ended its own sending only."""
        if self._is_answered() or self.cycle.more_body:
            return False
        self._end_after(self.cycle)
        return True

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's
        """Refuse what could not be parsed."""
        self._refuse(self._fault)

    def _should_upgrade(self) -> bool:
        return self.parser.get_method() != b"CONNECT"

    def handle_websocket_upgrade(self) -> None:
        """Take a request that offers another protocol as if it did not.

        Some clients offer HTTP/2 so with each first request. The parser stops behind
        such a head and leaves the body out, so another one reads it without the offer.
        """
        (offset,) = cast(Exception, sys.exception()).args
        method, version = self.scope["method"], self.scope["http_version"]
        head = [b"%b %b HTTP/%b" % (method.encode(), self.url, version.encode())]
        head += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._beside_body = 0
        self.data_received(b"\r\n".join([*head, b"", b""]) + self._slice[offset:])

    # What the worker calls.

    def check(self, now: float) -> None:
        """Close, if its client has kept it waiting for the same thing too long."""
        awaited = self._what_is_awaited()
        if awaited is not self._awaited:
            self._awaited, self._awaited_since = awaited, now
        elif awaited is not None and now - self._awaited_since > ARRIVAL_S:
            if awaited is self.flow:
                self.transport.abort()
            else:
                self.leave()

    def drain(self) -> None:
        """Make the answer that is due, or else the next one, the last."""
        self._last = True
        if self.cycle is not None and not self.cycle.response_complete:
            self._end_after(self.cycle)

    def is_idle(self) -> bool:
        """Return whether no request is under way, not even in part."""
        return self._is_answered() and (self.cycle is None or self.cycle.scope is self.scope)

    def is_due(self) -> bool:
        """Return whether a request has come whole and is not answered yet."""
        return self._running is not None and not (
            self._running.response_complete or self._running.more_body
        )

    def leave(self, answer: bytes = b"") -> None:
        """Close, after a last answer."""
        self._unset_keepalive_if_required()
        self.connection_lost(ConnectionAbortedError())
        part(self.transport, answer)

    def _is_answered(self) -> bool:
        return self._running is None or self._running.response_complete

    def _what_is_awaited(self) -> object:
        """Return what tells the client's present task from its next, None if it has none."""
        if self.transport.is_closing() or self.flow.write_paused:
            return self.flow  # it has to take its answers
        if self._is_answered():
            idle = self.timeout_keep_alive_task is not None
            return None if idle else self.scope or self
        return self.scope if self._running is self.cycle and self.cycle.more_body else None

    def _end_after(self, cycle: RequestResponseCycle) -> None:
        cycle.keep_alive = False
        cycle.transport = _Parting(self)  # type: ignore[assignment]

    def _refuse(self, answer: bytes) -> None:
        """Answer so instead of the request that is arriving, after those before it."""
        broken = self.cycle if self.cycle is not None and self.cycle.more_body else None
        if self.pipeline and self.pipeline[0][0] is broken:
            self.pipeline.popleft()
        if self._is_answered() or self._running is broken:
            self.leave(answer)
        else:
            self._refusal = answer
            self.flow.pause_reading()
