"""Durable PUTs a second by the real server, beside other servers that take the same load."""

from functools import partial

from benchmarks.harness import Row, Target, interleave
from benchmarks.load import ECHOED, STORED, Load, drive
from benchmarks.serving import (
    ASYNCHRONOUS,
    BARE,
    LOCCTL_SERVE,
    NAIVE,
    Scratch,
    scratch,
    serving,
)

FEW, MANY = 32, 256
PEERS = {
    "naive Flask": (NAIVE, STORED, Target(at_least=4)),
    "FastAPI": (ASYNCHRONOUS, STORED, Target(at_least=2.5)),
    "bare Flask echo": (BARE, ECHOED, Target(at_least=0.4)),
}


def measure() -> list[Row]:
    """Return answers a second and latencies, on 2 workers: few connections, then many."""
    with scratch() as home:
        return [*_beside_peers(home), *_many_connections(home)]


def _beside_peers(home: Scratch) -> list[Row]:
    rows = []
    for name, (command, expect, target) in PEERS.items():
        with serving(LOCCTL_SERVE, home) as api, serving(command, home) as peer:
            loads = interleave(
                {
                    "locapi": partial(drive, api.port, STORED, FEW),
                    name: partial(drive, peer.port, expect, FEW),
                }
            )
        peer_rows = load_rows(f"{name}, {FEW} connections", loads[name])
        rows += load_rows(f"PUT, {FEW} connections", loads["locapi"], peer_rows[0], target)
        rows += peer_rows
    return rows


def _many_connections(home: Scratch) -> list[Row]:
    with serving(LOCCTL_SERVE, home) as api:
        loads = interleave(
            {f"{count}": partial(drive, api.port, STORED, count) for count in (FEW, MANY)}
        )
    few, many = loads[f"{FEW}"], loads[f"{MANY}"]
    first = Row(f"PUT, {FEW} connections", "a second", [load.rate for load in few])
    p50 = Row(f"PUT, {MANY} connections, p50", "ms", [load.p50_ms for load in many])
    return [
        first,
        Row(
            f"PUT, {MANY} connections",
            "a second",
            [load.rate for load in many],
            first,
            Target(at_least=1),
        ),
        p50,
        Row(p50.what.replace("50", "99"), "ms", [x.p99_ms for x in many], p50, Target(at_most=4)),
    ]


def load_rows(
    what: str, loads: list[Load], against: Row | None = None, target: Target | None = None
) -> list[Row]:
    """Return the rows that a series of loads comes to."""
    return [
        Row(what, "a second", [load.rate for load in loads], against, target),
        Row(f"{what}, p50", "ms", [load.p50_ms for load in loads]),
        Row(f"{what}, p99", "ms", [load.p99_ms for load in loads]),
    ]
