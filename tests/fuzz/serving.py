"""A real server on a database of its own, for as long as a block runs."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import free_port
from tests.test_end_to_end import DEADLINE_S, LOCCTL, wait_for_health


@contextmanager
def serving(mongodb_uri: str, log: Path) -> Iterator[str]:
    """Yield the URL of `locctl serve`, whose log must bear no traceback and no worker's end."""
    port = free_port()
    environ = {**os.environ, "MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": f"fuzz_{port}"}
    command = [str(LOCCTL), "serve", "--port", str(port), "--workers", "2"]
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
    try:
        wait_for_health(f"http://127.0.0.1:{port}", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
    told = log.read_text()
    assert "Traceback" not in told, told
    assert "a worker ended" not in told, told
