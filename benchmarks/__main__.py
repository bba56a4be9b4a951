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
    batch,
    costs,
    export,
    growth,
    importing,
    ingest,
    interpreters,
    lone,
    marks,
    memory,
    page,
    prune,
    readers,
    rollup,
    seen,
    servers,
    shares,
    sizing,
    tokens,
)
from benchmarks.harness import Row, table
from locapi.storage import embedded

RESULTS = Path(__file__).with_name("results.json")
USUAL = (
    "ingest",
    "batch",
    "lone",
    "import",
    "rollup",
    "export",
    "prune",
)


MEASUREMENTS: dict[str, Callable[[], list[Row]]] = {
    "ingest": ingest.measure,
    "batch": batch.measure,
    "lone": lone.measure,
    "import": importing.measure,
    "rollup": rollup.measure,
    "export": export.measure,
    "prune": prune.measure,
    "memory": memory.measure,
    "marks": marks.measure,
    "seen": seen.measure,
    "tokens": tokens.measure,
    "readers": readers.measure,
    "shares": shares.measure,
    "servers": servers.measure,
    "interpreters": interpreters.measure,
    "growth": growth.measure,
    "capacity": costs.measure,
}


@click.command()
@click.argument("names", metavar="[MEASUREMENT]...", nargs=-1)
def main(names: tuple[str, ...]) -> None:
    """Measure what docs/PERFORMANCE.md shows, and write its table; or what is named.

    Capacity writes its tables into docs/SCALING.md.
    """
    if unknown := set(names) - set(MEASUREMENTS):
        raise click.UsageError(f"{', '.join(unknown)}: there are {', '.join(MEASUREMENTS)}")
    load, _, _ = os.getloadavg()
    groups = {}
    for name in names or USUAL:
        click.echo(f"measuring {name}", err=True)
        groups[name] = MEASUREMENTS[name]()
    rows = [row for group in groups.values() for row in group]
    click.echo(table(rows))
    results = {name: [row.as_dict() for row in group] for name, group in groups.items()}
    _keep(results)
    if not names:
        page.write(rows, _machine(), load)
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
        "mongod": version.stdout.split()[2].removeprefix("v"),
    }


if __name__ == "__main__":
    main()
