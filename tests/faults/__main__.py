"""Run `make faults`: kill, pause and cut off processes under load, and print the effects."""

import random
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.faults import disks
from tests.faults.load import Load
from tests.faults.referee import judge, lost
from tests.faults.replica_set import ReplicaSet
from tests.faults.report import effects, table, unexcused
from tests.faults.single_node import SingleNode
from tests.faults.warehouse import Warehouse

Installation = type[SingleNode] | type[ReplicaSet]

ROUNDS: dict[str, tuple[Installation, int]] = {
    "one mongod": (SingleNode, 13),
    "replica set": (ReplicaSet, 3),
}
DISKS = "disks"


def main(arguments: list[str]) -> int:
    """Run all faults with an optional seed; return 1 if a guarantee was broken."""
    seed = int(arguments[0]) if arguments else random.randrange(1_000_000)
    click.echo(f"seed {seed}")
    wanted = arguments[1:] or [*ROUNDS, DISKS]
    broken = [_run(title, *ROUNDS[title], seed) for title in ROUNDS if title in wanted]
    if DISKS in wanted:
        click.echo("\n" + "\n".join(disks.check()))
    return max(broken, default=0)


def _run(title: str, kind: Installation, rounds: int, seed: int) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        installation = kind(Path(directory), seed)
        with installation.running():
            with (
                Warehouse(installation.uri) as warehouse,
                Load(installation.api.port, seed) as load,
            ):
                faults = list(installation.befall(load, rounds))
            entries = list(load.entries())
            problems = [*unexcused(load, faults), *judge(installation.uri, entries)]
            problems += warehouse.differences()
            answered = sum(entry.answered for entry in entries)
            gone = len(lost(installation.uri, entries))
    click.echo(f"\n{title}: {time.monotonic() - began:.0f} s; columns in seconds: median / most")
    click.echo("\n".join(table(effects(load, faults))))
    click.echo(f"fixes answered 200: {answered:,}; faults: {len(faults)}; lost: {gone}")
    click.echo(f"reads by a warehouse that follows what changes: {warehouse.reads:,}")
    click.echo(
        "\n".join(problems) or "each is stored once, and the minutes are those of the reference"
    )
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
