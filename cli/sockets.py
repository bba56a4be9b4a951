"""Listening sockets: many on one port, closed without losing a connection; open files enough."""

import contextlib
import ctypes
import resource
import socket
import struct
from collections.abc import Iterator, Sequence

import click

BACKLOG = 2_048
MAX_OPEN_FILES = 65_536
_SO_ATTACH_FILTER = 26
# A program for the kernel: drop a segment whose flags are SYN without ACK, let others pass.
_NO_SYN = (
    (0x30, 0, 0, 13),  # load the byte of flags
    (0x54, 0, 0, 0x12),  # and SYN | ACK
    (0x15, 0, 1, 0x02),  # if it is SYN
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFF_FFFF),  # pass
)


@contextlib.contextmanager
def listening(host: str, port: int, count: int) -> Iterator[list[socket.socket]]:
    """Open sockets on one address, among which the kernel spreads the connections.

    On a single one the first worker to wake would accept a whole burst. They are
    open here too, so that a connection survives the worker it was meant for.
    """
    with contextlib.ExitStack() as opened:
        try:
            sockets = [opened.enter_context(each) for each in _open(host, port, count)]
        except OSError as error:
            reason = str(error.strerror).split(" (")[0]
            raise click.ClickException(
                f"cannot listen on {host}:{port}: {reason}; see what does, or choose another"
            ) from error
        yield sockets


def _open(host: str, port: int, count: int) -> Iterator[socket.socket]:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # Without SO_REUSEPORT, to notice a server that is not ours.
    with socket.create_server(address, family=family) as probe:
        address = probe.getsockname()
    for _ in range(count):
        listener = socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=True)
        # An answer goes out at once; each connection inherits that.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def refuse_new(sockets: Sequence[socket.socket]) -> None:
    """Let no new connection begin; what has begun can still be accepted.

    To close a socket resets the connections in its queue, and between the last
    accept and the close there may come one more. A client that begins one now is
    not heard, and tries again a second later.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in _NO_SYN)
    memory = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("HP", len(_NO_SYN), ctypes.addressof(memory))
    for each in sockets:
        with contextlib.suppress(OSError):  # a kernel without it: that one connection is reset
            each.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)


def authority(listener: socket.socket) -> str:
    """Return host and port as in a URL."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def raise_open_files() -> None:
    """Allow this process and its children as many open files as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def open_files() -> int:
    """Return how many files this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_OPEN_FILES if soft == resource.RLIM_INFINITY else soft
