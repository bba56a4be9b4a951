"""`locctl serve` with a clock that is read from a file, so that it can jump in every worker."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from cli import entry, workers
from locapi.app import create_app
from locapi.server import Server

VARIABLE = "TEST_CLOCK"  # names the file


class Clock:
    """What the API takes for the time, as another process sets it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, now: datetime) -> None:
        """Let the time be `now` from here on."""
        behind = self._path.with_suffix(".new")
        behind.write_text(now.isoformat())
        behind.replace(self._path)

    def now(self) -> datetime:
        """Return the time."""
        return datetime.fromisoformat(self._path.read_text())


def create_server() -> Server:
    """Return the application to serve, in a worker."""
    return Server(create_app(now=Clock(Path(os.environ[VARIABLE])).now))


def main(module: str) -> None:
    """Run `locctl`, but serve the application that a module makes."""
    run = workers.run

    def run_with_clock(_application: str, *arguments: Any, **options: Any) -> None:
        run(f"{module}:create_server", *arguments, **options)

    workers.run = run_with_clock  # type: ignore[assignment]
    entry.main()


if __name__ == "__main__":
    main(__spec__.name)
