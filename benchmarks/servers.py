"""Measure the same application on other servers, to choose one."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec

import click

from benchmarks.harness import Row, interleave
from benchmarks.ingest import FEW, load_rows
from benchmarks.load import STORED, drive
from benchmarks.serving import BIN, LOCCTL_SERVE, WORKERS, scratch, serving

NEEDED = ("gunicorn", "gevent", "waitress")


def _granian(threads: int) -> Sequence[str]:
    options = {"--interface": "wsgi", "--workers": WORKERS, "--blocking-threads": threads}
    words = [str(word) for pair in options.items() for word in pair]
    return (
        str(BIN / "granian"),
        "locapi.api.app:create_app",
        "--factory",
        "--port",
        "{port}",
        *words,
    )


def _gunicorn(*options: str) -> Sequence[str]:
    address = ("--bind", "127.0.0.1:{port}", "--workers", str(WORKERS))
    return (str(BIN / "gunicorn"), "locapi.api.app:create_app()", *address, *options)


CANDIDATES = {
    "locctl serve": LOCCTL_SERVE,
    "granian, WSGI, 32 threads": _granian(32),
    "gunicorn gthread, 32 threads": _gunicorn("--threads", "32"),
    "gunicorn gevent": _gunicorn("--worker-class", "gevent"),
    "waitress, 1 process, 32 threads": (
        *(str(BIN / "waitress-serve"), "--listen", "127.0.0.1:{port}", "--threads", "32"),
        *("--call", "locapi.api.app:create_app"),
    ),
}


def measure() -> list[Row]:
    """Return fixes a second and latencies of each candidate."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise click.ClickException(f"install these beside locapi first: {', '.join(missing)}")
    with scratch() as home, ExitStack() as running:
        ports = {
            name: running.enter_context(serving(command, home)).port
            for name, command in CANDIDATES.items()
        }
        loads = interleave({name: partial(drive, ports[name], STORED, FEW) for name in CANDIDATES})
    first = next(iter(CANDIDATES))
    against = load_rows(first, loads.pop(first))
    rows = [load_rows(name, samples, against[0]) for name, samples in loads.items()]
    return [row for group in [against, *rows] for row in group]
