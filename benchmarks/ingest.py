"""Measure durable PUTs by the real server, against other servers under the same load."""

from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from benchmarks.harness import Row, Target, interleave
from benchmarks.load import ECHOED, STORED, Load, drive
from benchmarks.serving import (
    ASYNCHRONOUS,
    BARE,
    LOCCTL_SERVE,
    NAIVE,
    Server,
    cpu_s,
    scratch,
    serving,
)

FEW, MANY = 32, 256
OURS, FASTAPI, FLASK, ECHO = "PUT", "FastAPI", "naive Flask", "bare Flask echo"
SERVERS = {
    OURS: (LOCCTL_SERVE, STORED),
    FASTAPI: (ASYNCHRONOUS, STORED),
    FLASK: (NAIVE, STORED),
    ECHO: (BARE, ECHOED),
}
LOADS = [(OURS, FEW), (FASTAPI, FEW), (OURS, MANY), (FASTAPI, MANY), (FLASK, MANY), (ECHO, MANY)]


class Sample(NamedTuple):
    """A round of one server: its load, and the CPU time in µs that its workers took for each."""

    load: Load
    cpu_us: float


def measure() -> list[Row]:
    """Return answers a second, CPU time and latencies, on 2 workers."""
    with scratch() as home, ExitStack() as running:
        servers = {
            name: running.enter_context(serving(command, home))
            for name, (command, _) in SERVERS.items()
        }
        samples = interleave(
            {
                _label(name, connections): partial(
                    sample, servers[name], SERVERS[name][1], connections
                )
                for name, connections in LOADS
            }
        )
    return _rows(samples)


def sample(server: Server, expect: str, connections: int) -> Sample:
    """Load a server for a round."""
    before = cpu_s(server.pid)
    load = drive(server.port, expect, connections)
    return Sample(load, (cpu_s(server.pid) - before) / load.answers * 1e6)


def _label(name: str, connections: int) -> str:
    return f"{name}, {connections} connections"


def _rows(samples: dict[str, list[Sample]]) -> list[Row]:
    few, many = _label(OURS, FEW), _label(OURS, MANY)
    rows = [
        rate_row(samples, few, _label(FASTAPI, FEW), Target(at_least=2)),
        rate_row(samples, many, _label(FASTAPI, MANY), Target(at_least=3)),
        rate_row(samples, many, _label(FLASK, MANY), Target(at_least=5.5)),
        cpu_row(samples, many, _label(ECHO, MANY), Target(at_most=1.6)),
        cpu_row(samples, many, _label(FASTAPI, MANY)),
        cpu_row(samples, few, _label(FASTAPI, FEW)),
    ]
    p50, p99 = (
        Row(f"{many}, {name}", "ms", [getattr(each.load, f"{name}_ms") for each in samples[many]])
        for name in ("p50", "p99")
    )
    return [*rows, Row(p99.what, p99.unit, p99.samples, p50, Target(at_most=2.5))]


def rate_row(
    samples: dict[str, list[Sample]], what: str, against: str, target: Target | None = None
) -> Row:
    """Return answers a second of one series of samples against those of another."""
    mine, peer = ([each.load.rate for each in samples[name]] for name in (what, against))
    return Row(what, "a second", mine, Row(against, "a second", peer), target)


def cpu_row(
    samples: dict[str, list[Sample]], what: str, against: str, target: Target | None = None
) -> Row:
    """Return the server's CPU time for an answer in one series against that in another."""
    mine, peer = ([each.cpu_us for each in samples[name]] for name in (what, against))
    return Row(what, "µs of CPU each", mine, Row(against, "µs of CPU each", peer), target)


def load_rows(what: str, loads: list[Load], against: Row | None = None) -> list[Row]:
    """Return the rows that a series of loads comes to."""
    return [
        Row(what, "a second", [load.rate for load in loads], against),
        Row(f"{what}, p50", "ms", [load.p50_ms for load in loads]),
        Row(f"{what}, p99", "ms", [load.p99_ms for load in loads]),
    ]
