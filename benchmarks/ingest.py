"""Durable PUTs a second by the real server, beside an endpoint that only echoes."""

from functools import partial

from benchmarks.harness import Row, interleave
from benchmarks.load import CONNECTIONS, ECHOED, STORED, Load, drive
from benchmarks.serving import BARE, LOCCTL_SERVE, granian, scratch, serving


def measure() -> list[Row]:
    """Return fixes a second and latencies at 32 connections on 2 workers."""
    with (
        scratch() as home,
        serving(LOCCTL_SERVE, home) as api,
        serving(granian(BARE), home) as bare,
    ):
        loads = interleave(
            {
                "locapi": partial(drive, api.port, STORED),
                "bare Flask": partial(drive, bare.port, ECHOED),
            }
        )
    bare_rate, *bare_latencies = load_rows("bare Flask echo", loads["bare Flask"])
    rate, *latencies = load_rows("durable PUT", loads["locapi"], bare_rate)
    return [rate, *latencies, bare_rate, *bare_latencies]


def load_rows(what: str, loads: list[Load], against: Row | None = None) -> list[Row]:
    """Return the rows that a series of loads comes to."""
    return [
        Row(f"{what}, {CONNECTIONS} connections", "a second", [x.rate for x in loads], against),
        Row(f"{what}, latency p50", "ms", [load.p50_ms for load in loads]),
        Row(f"{what}, latency p99", "ms", [load.p99_ms for load in loads]),
    ]
