"""Run the WSGI application on Granian's event loop, each request in a greenlet of its own."""

import asyncio
import io
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any
from wsgiref.types import WSGIApplication
from wsgiref.util import FileWrapper

from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]

from locapi.api.app import create_app
from locapi.api.batches import BATCH_PATHS, MAX_BATCH_BYTES
from locapi.concurrency import greenlets
from locapi.errors import InvalidFix, LocapiError, Overloaded, RequestTimeout
from locapi.fixes.validation import MAX_BODY_BYTES

# More of a body is read than may be valid, because a client that is still sending when its
# connection closes may never read the response.
MAX_READ_BYTES = 1024 * 1024
# Requests in one worker whose bodies may have a megabyte, which is held in memory.
MAX_LARGE = 64
BODY_S = 20
# In one worker; it answers about as many in a second.
MAX_IN_PROGRESS = 2_000
OPEN_S = 20  # for Granian to open a file, which takes milliseconds

_ENVIRON: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "0",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.file_wrapper": FileWrapper,
}

_Response = tuple[int, list[tuple[str, str]], bytes | IO[bytes]]


class Bridge:
    """An RSGI application that calls a WSGI application.

    A request that the bridge refuses carries the reason in `environ["locapi.refusal"]`. A
    response is held in memory, unless it is an open file (`wsgi.file_wrapper`, PEP 3333): that
    is sent from the disk, as fast as the client reads it.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._in_progress = 0
        self._large = 0

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request."""
        if scope.path not in BATCH_PATHS:
            await self._answer(scope, protocol, MAX_BODY_BYTES)
            return
        limit = MAX_BATCH_BYTES if self._large < MAX_LARGE else None
        self._large += 1
        try:
            await self._answer(scope, protocol, limit)
        finally:
            self._large -= 1

    async def _answer(self, scope: Scope, protocol: HTTPProtocol, limit: int | None) -> None:
        """Answer a request with a body of at most `limit` bytes; refuse it if that is None."""
        environ = _environ(scope)
        close = []
        try:
            if limit is None:
                raise Overloaded("too many batches are in progress")
            body = await _read_body(scope, protocol, limit)
        except LocapiError as error:
            body, environ["locapi.refusal"] = b"", error
            # What follows on the connection may belong to this body.
            close = [("Connection", "close")]
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        status, headers, content = await self._respond(environ)
        if isinstance(content, bytes):
            protocol.response_bytes(status, headers + close, content)
        else:
            # Not Granian's stream: it has no back-pressure, and ends normally after an error.
            protocol.response_file(status, headers + close, f"/dev/fd/{content.fileno()}")
            asyncio.get_running_loop().call_later(OPEN_S, content.close)

    async def _respond(self, environ: dict[str, Any]) -> _Response:
        if self._in_progress >= MAX_IN_PROGRESS:
            environ["locapi.refusal"] = Overloaded("too many requests are in progress")
            return _call(self._app, environ)
        self._in_progress += 1
        try:
            return await greenlets.run(_call, self._app, environ)
        finally:
            self._in_progress -= 1


def create_application() -> Bridge:
    """Return the application for Granian; call it once, in the worker process."""
    return Bridge(create_app())


async def _read_body(scope: Scope, protocol: HTTPProtocol, limit: int) -> bytes:
    """Return the body, or its first part, one byte longer than the limit, if it is longer."""
    length = scope.headers.get("content-length")
    chunked = "transfer-encoding" in scope.headers
    if length is None and not chunked:
        return b""
    if chunked and len(scope.headers.get_all("transfer-encoding")) > 1:  # type: ignore[attr-defined]
        raise InvalidFix("Transfer-Encoding is repeated")
    task = asyncio.current_task()
    deadline = asyncio.get_running_loop().call_later(BODY_S, task.cancel)  # type: ignore[union-attr]
    try:
        if chunked or int(length) > limit:
            return await _read_chunks(protocol, limit)
        return await protocol()
    except asyncio.CancelledError:
        raise RequestTimeout(f"the body did not arrive within {BODY_S} s") from None
    except ProtocolClosed:
        raise InvalidFix("the body is incomplete") from None
    finally:
        deadline.cancel()


async def _read_chunks(protocol: HTTPProtocol, limit: int) -> bytes:
    body, read, empty = bytearray(), 0, 0
    async for chunk in protocol:
        body += chunk[: limit + 1 - len(body)]
        read += len(chunk)
        empty += not chunk
        if read > max(MAX_READ_BYTES, 2 * limit):
            break
    # Granian reports the end as one empty chunk, and adds another if the body is cut off or
    # malformed, or if it has trailers.
    if empty > 1:
        raise InvalidFix("the body is incomplete or has trailers")
    return bytes(body)


def _environ(scope: Scope) -> dict[str, Any]:
    environ = {
        **_ENVIRON,
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": _as_wsgi(scope.path),
        "QUERY_STRING": _as_wsgi(scope.query_string),
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.url_scheme": scope.scheme,
    }
    for name, value in _headers(scope):
        if "_" not in name:  # else `X_A` could pass for `X-A`
            key = "HTTP_" + name.upper().replace("-", "_")
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    return environ


def _headers(scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield the headers; a value that is not ASCII is replaced, as Granian does not provide it."""
    readable = scope.headers.items()
    yield from readable
    for name in set(scope.headers.keys()).difference(name for name, _ in readable):
        yield name, _as_wsgi("\ufffd")


def _as_wsgi(text: str) -> str:
    return text.encode().decode("latin-1")


def _call(app: WSGIApplication, environ: dict[str, Any]) -> _Response:
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
        started[:] = int(status[:3]), headers

    chunks: Iterable[bytes] = app(environ, start_response)
    if isinstance(chunks, FileWrapper):
        return (*started, chunks.filelike)
    try:
        content = b"".join(chunks)
    finally:
        if close := getattr(chunks, "close", None):
            close()
    return (*started, content)
