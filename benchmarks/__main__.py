"""`python -m benchmarks [MEASUREMENT…]`: measure, print one table, keep `results.json`."""

import json
import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks import (
    costs,
    export,
    growth,
    importing,
    ingest,
    lone,
    memory,
    prune,
    rollup,
    seen,
    servers,
    shares,
    sizing,
    tokens,
)
from benchmarks.harness import Row, table
from locapi import embedded

RESULTS = Path(__file__).with_name("results.json")
USUAL = (
    "ingest",
    "lone",
    "import",
    "rollup",
    "export",
    "prune",
    "memory",
    "seen",
    "tokens",
    "shares",
)


MEASUREMENTS: dict[str, Callable[[], list[Row]]] = {
    "ingest": ingest.measure,
    "lone": lone.measure,
    "import": importing.measure,
    "rollup": rollup.measure,
    "export": export.measure,
    "prune": prune.measure,
    "memory": memory.measure,
    "seen": seen.measure,
    "tokens": tokens.measure,
    "shares": shares.measure,
    "servers": servers.measure,
    "growth": growth.measure,
    "capacity": costs.measure,
}


@click.command()
@click.argument("names", metavar="[MEASUREMENT]...", nargs=-1)
def main(names: tuple[str, ...]) -> None:
    """Measure all but servers, growth and capacity; or what is named, which may be those too.

    Capacity also writes its tables into docs/SCALING.md.
    """
    if unknown := set(names) - set(MEASUREMENTS):
        raise click.UsageError(f"{', '.join(unknown)}: there are {', '.join(MEASUREMENTS)}")
    rows = {}
    for name in names or USUAL:
        click.echo(f"measuring {name}", err=True)
        rows[name] = MEASUREMENTS[name]()
    click.echo(table([row for group in rows.values() for row in group]))
    results = {name: [row.as_dict() for row in group] for name, group in rows.items()}
    _keep(results)
    if "capacity" in results:
        sizing.write(results["capacity"])


def _keep(results: dict[str, Any]) -> None:
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    after = {**before, **results, "machine": _machine()}
    RESULTS.write_text(json.dumps(after, indent=1) + "\n")


def _machine() -> dict[str, Any]:
    version = subprocess.run(  # noqa: S603  the command is all ours
        [embedded.find_mongod(), "--version"], capture_output=True, text=True, check=True
    )
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "mongod": version.stdout.split()[2],
    }


if __name__ == "__main__":
    main()
