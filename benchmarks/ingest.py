"""Durable PUTs a second by the real server, beside other servers that take the same load."""

from contextlib import ExitStack
from functools import partial

from benchmarks.harness import Row, Target, interleave
from benchmarks.load import ECHOED, STORED, Load, drive
from benchmarks.serving import ASYNCHRONOUS, BARE, LOCCTL_SERVE, NAIVE, scratch, serving

FEW, MANY = 32, 256
PEERS = {
    "naive Flask": (NAIVE, STORED, Target(at_least=4)),
    "FastAPI": (ASYNCHRONOUS, STORED, Target(at_least=2.5)),
    "bare Flask echo": (BARE, ECHOED, Target(at_least=0.4)),
}


def measure() -> list[Row]:
    """Return answers a second and latencies, on 2 workers: few connections, then many."""
    with scratch() as home, ExitStack() as running:
        api = running.enter_context(serving(LOCCTL_SERVE, home)).port
        peers = {
            name: running.enter_context(serving(command, home)).port
            for name, (command, *_) in PEERS.items()
        }
        loads = interleave(
            {
                "few": partial(drive, api, STORED, FEW),
                **{name: partial(drive, peers[name], PEERS[name][1], FEW) for name in PEERS},
                "many": partial(drive, api, STORED, MANY),
            }
        )
    return [*_beside_peers(loads), *_with_many(loads)]


def _beside_peers(loads: dict[str, list[Load]]) -> list[Row]:
    what = f"PUT, {FEW} connections"
    rates = [load.rate for load in loads["few"]]
    rows = []
    for name, (_, _, target) in PEERS.items():
        peer, *latencies = load_rows(f"{name}, {FEW} connections", loads[name])
        rows += [Row(what, "a second", rates, peer, target), peer, *latencies]
    return rows + load_rows(what, loads["few"])[1:]


def _with_many(loads: dict[str, list[Load]]) -> list[Row]:
    few = load_rows(f"PUT, {FEW} connections", loads["few"])[0]
    what = f"PUT, {MANY} connections"
    rate, p50, p99 = load_rows(what, loads["many"], few, Target(at_least=1))
    return [rate, p50, Row(p99.what, p99.unit, p99.samples, p50, Target(at_most=4))]


def load_rows(
    what: str, loads: list[Load], against: Row | None = None, target: Target | None = None
) -> list[Row]:
    """Return the rows that a series of loads comes to."""
    return [
        Row(what, "a second", [load.rate for load in loads], against, target),
        Row(f"{what}, p50", "ms", [load.p50_ms for load in loads]),
        Row(f"{what}, p99", "ms", [load.p99_ms for load in loads]),
    ]
