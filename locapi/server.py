"""Serve the application on an event loop: ASGI outside, Flask inside, a greenlet a request."""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from flask import Response

from locapi import greenlets
from locapi.app import Application, create_app
from locapi.errors import DatabaseUnavailable, LocapiError, Overloaded
from locapi.schema import MAX_BODY_BYTES

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# A client that is still sending when the connection closes never sees the answer.
MAX_READ_BYTES = 1024 * 1024
# Of one worker; what it answers in about a second. More would wait in vain for their turn.
MAX_IN_PROGRESS = 2_000

_ENVIRON: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "0",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


class Server:
    """An ASGI application around a Flask one, in which a request may step aside."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._in_progress = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body, whole = await _body(receive)
        if body is None:
            return
        response, content = await self._dispatch(_environ(scope, body))
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers.to_wsgi_list()
        ]
        if not whole:
            headers.append((b"connection", b"close"))
        start = {"type": "http.response.start", "status": response.status_code}
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _dispatch(self, environ: dict[str, Any]) -> tuple[Response, bytes]:
        if self._in_progress >= MAX_IN_PROGRESS:
            return self._refuse(environ, Overloaded("too many requests are in progress"))
        self._in_progress += 1
        try:
            return await greenlets.run(self._answer, environ)
        except asyncio.CancelledError:
            # The worker has to end, and this waits for the database still.
            return self._refuse(environ, DatabaseUnavailable("no answer before the server's end"))
        finally:
            self._in_progress -= 1

    def _refuse(self, environ: dict[str, Any], error: LocapiError) -> tuple[Response, bytes]:
        with self._app.request_context(environ):
            response = self._app.refuse(error)
            return response, response.get_data()

    def _answer(self, environ: dict[str, Any]) -> tuple[Response, bytes]:
        # What Flask.wsgi_app does, without the detour by way of WSGI's callbacks.
        with self._app.request_context(environ):
            response = self._app.full_dispatch_request()
            return response, response.get_data()


def create_server() -> Server:
    """Return the application to serve; call it after the fork, once a process."""
    return Server(create_app())


async def _body(receive: Receive) -> tuple[bytes | None, bool]:
    """Return a request's body, None if it broke off, and whether all of it was read.

    Of one that is too long it is the beginning, by which it can be told.
    """
    body, read, more = b"", 0, True
    while more and read <= MAX_READ_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None, False
        chunk = message.get("body", b"")
        body += chunk[: MAX_BODY_BYTES + 1 - len(body)]
        read += len(chunk)
        more = message.get("more_body", False)
    return body, not more


def _environ(scope: Message, body: bytes) -> dict[str, Any]:
    client = scope["client"]
    environ = {
        **_ENVIRON,
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0] if client else "",
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
    }
    for raw_name, raw_value in scope["headers"]:
        name = "HTTP_" + raw_name.decode("latin-1").upper().replace("-", "_")
        value = raw_value.decode("latin-1")
        environ[name] = f"{environ[name]},{value}" if name in environ else value
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ
