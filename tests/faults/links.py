"""A proxy in front of each member of a replica set, which can hold back connections by caller.

Members and clients reach a member by its proxy. The owner of a connection's other end shows which
member it comes from; if no member owns it, it comes from a client.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

CLIENTS = -1  # in place of a member's number
_LOOK_S = 0.02
_MOST_LOOKS = 20


class Way(NamedTuple):
    """The port of a proxy, and the port of the member behind it."""

    port: int
    target: int


class Links:
    """The proxies of all members."""

    def __init__(self, ways: list[Way], pid_of: Callable[[int], int]) -> None:
        """Take the way to each member, and a function that returns a member's process."""
        self._ways, self._pid_of = ways, pid_of
        self._cut: frozenset[frozenset[int]] = frozenset()
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Links":
        for number, way in enumerate(self._ways):
            opening = asyncio.start_server(self._taker(number), "127.0.0.1", way.port)
            self._servers.append(self._loop.run_until_complete(opening))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for server in self._servers:
            server.close()
        self._loop.run_until_complete(_cancel_others())
        self._loop.close()

    def cut(self, member: int, others: Iterable[int]) -> None:
        """Hold back everything between a member and the others, in both directions."""
        self._cut = frozenset(frozenset({member, other}) for other in others)

    def restore(self) -> None:
        """Let everything pass again, including what was held back."""
        self._cut = frozenset()

    def _taker(
        self, called: int
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], "asyncio.Future[None]"]:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            port = writer.get_extra_info("peername")[1]
            ends = frozenset({called, await self._caller(port, self._ways[called].port)})
            try:
                there = await asyncio.open_connection("127.0.0.1", self._ways[called].target)
            except OSError:
                writer.close()
                return
            await asyncio.gather(
                self._pass_on(ends, reader, there[1]), self._pass_on(ends, there[0], writer)
            )

        return take  # type: ignore[return-value]

    async def _pass_on(
        self, ends: frozenset[int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                while ends in self._cut:
                    await asyncio.sleep(_LOOK_S)
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _caller(self, port: int, proxy: int) -> int:
        tries = 0
        # The kernel's table may miss a row while others come and go.
        while (inode := owner(port, proxy)) is None and tries < _MOST_LOOKS:
            tries += 1
            await asyncio.sleep(_LOOK_S)
        for number in range(len(self._ways)):
            with suppress(OSError, AssertionError):  # one that does not run owns nothing
                for descriptor in Path(f"/proc/{self._pid_of(number)}/fd").iterdir():
                    with suppress(OSError):  # closed since it was listed
                        if str(descriptor.readlink()) == f"socket:[{inode}]":
                            return number
        return CLIENTS


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def owner(port: int, remote_port: int) -> str | None:
    """Return the inode of the socket that is connected from one port to another.

    Both are compared, because connections to different ports may come from the same one.
    """
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *rest = row.split()
        if [int(end.split(":")[1], 16) for end in (local, remote)] == [port, remote_port]:
            return rest[6]
    return None
