"""Measure PUT on another version of Python: `OTHER_PYTHON=… python -m benchmarks interpreters`.

`OTHER_PYTHON` is the interpreter of an environment that has locapi's requirements-dev.txt.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import click

from benchmarks.harness import Row, interleave
from benchmarks.ingest import FASTAPI, FEW, MANY, OURS, Sample, cpu_row, rate_row, sample
from benchmarks.load import STORED
from benchmarks.serving import ASYNCHRONOUS, LOCCTL_SERVE, scratch, serving


def measure() -> list[Row]:
    """Return answers a second and CPU time of PUT and of FastAPI, on both versions."""
    other = os.environ.get("OTHER_PYTHON")
    if not other:
        raise click.ClickException("name the other interpreter: OTHER_PYTHON=/path/bin/python")
    here, there = platform.python_version(), _version(other)
    with scratch() as home, ExitStack() as running:
        servers = {
            (name, version): running.enter_context(serving(command, home))
            for version, python in ((here, sys.executable), (there, other))
            for name, command in _commands(python).items()
        }
        samples = interleave(
            {
                _label(name, version, connections): partial(sample, server, STORED, connections)
                for (name, version), server in servers.items()
                for connections in (FEW, MANY)
            }
        )
    return [row for connections in (FEW, MANY) for row in _rows(samples, here, there, connections)]


def _commands(python: str) -> Mapping[str, Sequence[str]]:
    start = "from locctl.entry import main; main()"
    return {
        OURS: (python, "-c", start, *LOCCTL_SERVE[1:]),
        FASTAPI: (python, "-m", "uvicorn", *ASYNCHRONOUS[1:]),
    }


def _version(python: str) -> str:
    command = [python, "-c", "import platform; print(platform.python_version())"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  ours
    return done.stdout.strip()


def _label(name: str, version: str, connections: int) -> str:
    return f"{name} on Python {version}, {connections} connections"


def _rows(samples: dict[str, list[Sample]], here: str, there: str, connections: int) -> list[Row]:
    ours, other = (_label(OURS, version, connections) for version in (here, there))
    peer, other_peer = (_label(FASTAPI, version, connections) for version in (here, there))
    return [
        rate_row(samples, other, ours),
        rate_row(samples, other, other_peer),
        rate_row(samples, ours, peer),
        cpu_row(samples, other, ours),
    ]
