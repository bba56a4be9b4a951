"""API hosts, each with its own address and a wrong clock, that read tokens again sooner."""

import itertools
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

from locapi.api import authentication
from locapi.api.app import create_app
from locapi.api.bridge import Bridge
from tests.faults import clock
from tests.faults.load import PATIENCE_S, Attempt, Client
from tests.faults.tracks import Track
from tests.support.processes import Process

SKEW = "TEST_SKEW_S"
TRUST_S = 1.0  # thirty times shorter than in use


class Host(Process):
    """`locctl serve` on its own address, with tokens required."""

    def __init__(self, directory: Path, address: str, port: int, skew_s: int, uri: str) -> None:
        self.address, self.port, self.skew = address, port, timedelta(seconds=skew_s)
        command = [sys.executable, "-m", __name__, "serve", f"--host={address}", f"--port={port}"]
        environ = {"MONGODB_URI": uri, "LOCAPI_AUTH": "token", SKEW: str(skew_s)}
        super().__init__(f"host{address}", [*command, "--workers=1"], directory, **environ)

    def connect(self) -> HTTPConnection:
        """Return a connection, which opens with its first request."""
        return HTTPConnection(self.address, self.port, timeout=PATIENCE_S)


class Phone(Client):
    """A user whose requests go to the hosts in turn."""

    def __init__(self, hosts: Sequence[Host], track: Track, every_s: float, token: str) -> None:
        super().__init__(0, track, every_s)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._hosts = [host.connect() for host in hosts]
        self._turns = itertools.cycle(self._hosts)

    def run(self) -> None:
        super().run()
        for connection in self._hosts:
            connection.close()

    def _send(self, body: bytes) -> Attempt:
        self._connection = next(self._turns)
        return super()._send(body)


def create_application() -> Bridge:
    """Return the application to serve, in a worker."""
    skew = timedelta(seconds=int(os.environ[SKEW]))
    authentication.TRUST_S = TRUST_S
    return Bridge(create_app(now=lambda: datetime.now(UTC) + skew))


if __name__ == "__main__":
    clock.main(f"{__spec__.name}:create_application")
