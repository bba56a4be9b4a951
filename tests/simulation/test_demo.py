"""The demonstration, which docs/test_commands.py runs to its end, is stopped before that."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def processes_that_name(directory: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(directory) in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demonstration_stops_all_it_started_when_it_is_stopped(
    tmp_path_factory: pytest.TempPathFactory, number: int
) -> None:
    scratch = tmp_path_factory.mktemp("d")  # short: a socket's path may not be long
    demo = subprocess.Popen(
        [sys.executable, ROOT / "simulation" / "demo.py"],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with demo:
        assert demo.stderr is not None
        first = demo.stderr.readline()
        os.killpg(demo.pid, number)
        rest = demo.stderr.read()
    assert first.startswith("Replaying")
    assert "Traceback" not in rest
    assert demo.returncode == 128 + number
    assert processes_that_name(scratch) == []
    assert list(scratch.glob("*/database")) == []
