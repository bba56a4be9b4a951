"""`locctl serve` as its real processes, for tests of what they do together."""

import os
import subprocess
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import free_port, new_database_name
from tests.support.processes import DEADLINE_S, LOCCTL, listeners, until, workers_of


class Serving:
    def __init__(
        self, process: "subprocess.Popen[bytes]", port: int, log: Path, database: str
    ) -> None:
        self.process, self.port, self.log, self.database = process, port, log, database
        self.url = f"http://127.0.0.1:{port}"

    def workers(self) -> list[int]:
        """Return the processes that serve."""
        return workers_of(self.process.pid)

    def replaced(self, old: Collection[int], count: int = 2) -> bool:
        """Return whether other workers have taken the place of these, and all listen."""
        workers = self.workers()
        return len(workers) == listeners(self.port) == count and not set(old) & set(workers)

    def memory_mb(self) -> float:
        """Return how much memory the workers have in RAM, together."""
        return sum(_status(pid, "VmRSS") for pid in self.workers()) / 1024


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


@contextmanager
def serve(
    mongodb_uri: str,
    directory: Path,
    *,
    workers: int = 2,
    port: int | None = None,
    prefix: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
    options: Sequence[str | Path] = (),
) -> Iterator[Serving]:
    """Run `locctl serve` during the block, and wait for its end."""
    port, database = port or free_port(), new_database_name()
    serving_environ = {
        **os.environ,
        "MONGODB_URI": mongodb_uri,
        "LOCAPI_DATABASE": database,
        **(environ or {}),
    }
    log = directory / f"serve_{port}_{time.monotonic_ns()}.log"
    command = [*prefix, LOCCTL, "serve", f"--port={port}", f"--workers={workers}", *options]
    with log.open("w") as out:
        process = subprocess.Popen(command, env=serving_environ, stdout=out, stderr=out)
    serving = Serving(process, port, log, database)
    try:
        until(lambda: listeners(serving.port) == workers)
        yield serving
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
