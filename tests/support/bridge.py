"""Requests to the bridge between the HTTP server and Flask, in this process."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from locapi.api.bridge import Bridge

DEADLINE_S = 30


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Headers:
    """The headers of a request, of which some may be repeated.

    As in Granian, a value that is not ASCII is missing, but its name is not.
    """

    def __init__(self, *items: tuple[str, str]) -> None:
        self._names = list(dict(items))
        self._items = tuple((name, value) for name, value in items if value.isascii())

    def keys(self) -> list[str]:
        return self._names

    def items(self) -> tuple[tuple[str, str], ...]:
        return self._items

    def get(self, name: str) -> str | None:
        return dict(self._items).get(name)

    def get_all(self, name: str) -> list[str]:
        return [value for each, value in self._items if each == name]

    def __contains__(self, name: str) -> bool:
        return name in self._names


class Protocol:
    """What Granian hands to an RSGI application beside the scope."""

    def __init__(self, parts: tuple[bytes, ...], broken_off: bool, wait: asyncio.Event) -> None:
        self._parts, self._broken_off, self._wait = parts, broken_off, wait
        self.answer: Answer | None = None

    async def __call__(self) -> bytes:
        await self._wait.wait()
        if self._broken_off:
            raise ProtocolClosed
        return b"".join(self._parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await self._wait.wait()
        for part in self._parts:
            yield part
        for _ in range(2 if self._broken_off else 1):
            yield b""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answer = Answer(status, dict(headers), body)

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None:
        self.answer = Answer(status, dict(headers), Path(file).read_bytes())


async def ask(
    bridge: Bridge,
    *parts: bytes,
    method: str = "PUT",
    path: str = "/location",
    chunked: bool = False,
    broken_off: bool = False,
    arrives: bool = True,
    **scope: Any,
) -> Answer:
    """Send a request whose body comes in parts; return the response."""
    framing = {"content-length": str(sum(map(len, parts)))}
    if chunked:
        framing = {"transfer-encoding": "chunked"}
    wait = asyncio.Event()
    if arrives:
        wait.set()
    protocol = Protocol(parts, broken_off, wait)
    scope = {
        "method": method,
        "path": path,
        "query_string": "",
        "http_version": "1.1",
        "scheme": "http",
        "client": "127.0.0.1:1",
        "headers": Headers(*framing.items()) if parts else Headers(),
        **scope,
    }
    await bridge(SimpleNamespace(**scope), protocol)  # type: ignore[arg-type]
    assert protocol.answer
    return protocol.answer


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on a new event loop."""
    return asyncio.run(asyncio.wait_for(coroutine, DEADLINE_S))
