"""The sockets that `locctl serve` listens on."""

import socket

from cli import sockets
from tests.raw import connect


def test_an_answer_does_not_wait_until_the_one_before_is_acknowledged() -> None:
    with sockets.listening("127.0.0.1", 0, count=1) as (listener,):
        with connect(listener.getsockname()[1]):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
