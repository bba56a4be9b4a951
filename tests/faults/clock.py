"""Run `locctl serve` with a clock that is read from a file, so that it jumps in every worker."""

import os
from datetime import datetime
from functools import partial
from pathlib import Path

from locctl import entry, http_server

from locapi.api.app import create_app
from locapi.api.bridge import Bridge
from locapi.ingest import store

VARIABLE = "TEST_CLOCK"  # names the file
DEADLINE = "TEST_DEADLINE_S"  # how long a request may take to store a fix


class Clock:
    """A clock for the API that another process sets."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, now: datetime) -> None:
        """Set the time."""
        behind = self._path.with_suffix(".new")
        behind.write_text(now.isoformat())
        behind.replace(self._path)

    def now(self) -> datetime:
        """Return the time."""
        return datetime.fromisoformat(self._path.read_text())


def create_application() -> Bridge:
    """Return the application to serve, in a worker."""
    store.DEADLINE_S = int(os.environ[DEADLINE])
    return Bridge(create_app(now=Clock(Path(os.environ[VARIABLE])).now))


def main(application: str) -> None:
    """Run `locctl` with an application for `locctl serve` that reads this clock."""
    http_server.run = partial(http_server.run, application=application)
    entry.main()


if __name__ == "__main__":
    main(f"{__spec__.name}:create_application")
