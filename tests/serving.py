"""`locctl serve` as its real processes, for tests of what they do together."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import free_port
from tests.test_end_to_end import DEADLINE_S, LOCCTL, ask, wait_for_health


class Serving:
    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log
        self.url = f"http://127.0.0.1:{port}"
        self.database = f"serving_{port}"

    def workers(self) -> list[int]:
        """Return the processes that serve: the parent's children but for multiprocessing's own."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split() if _is_spawned(child)]

    def memory_mb(self) -> float:
        """Return how much memory the workers have in RAM, together."""
        return sum(_status(pid, "VmRSS") for pid in self.workers()) / 1024


def _is_spawned(pid: str) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return False


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
) -> Iterator[Serving]:
    """Run it until the end of the block, and longer only for its own end."""
    port = port or free_port()
    serving_environ = {
        **os.environ,
        "MONGODB_URI": mongodb_uri,
        "LOCAPI_DATABASE": f"serving_{port}",
        **(environ or {}),
    }
    log = directory / f"serve_{port}_{time.monotonic_ns()}.log"
    command = [*prefix, str(LOCCTL), "serve", "--port", str(port), "--workers", str(workers)]
    with log.open("w") as out:
        process = subprocess.Popen(command, env=serving_environ, stdout=out, stderr=out)
    serving = Serving(process, port, log)
    try:
        wait_for_health(serving.url, log)
        until(lambda: len(serving.workers()) == workers)
        # The kernel spreads connections over the workers' sockets: so each has begun to accept.
        for _ in range(20 * workers):
            assert ask(serving.url, "GET", "/health")[0] == 200
        yield serving
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
