"""The most memory that a `locctl` command ever holds."""

import subprocess
from collections.abc import Sequence

from benchmarks.filling import fill_fixes, fill_minutes
from benchmarks.harness import Row
from benchmarks.serving import BIN, Scratch, scratch
from locapi import mongo
from locapi.settings import Settings

FIXES = 200_000
AIM_MB = 150
# A process of its own, whose only child is the command: the peak it sees is that child's.
_WATCH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
COMMANDS = (
    ("rollup",),
    ("export", "--format", "csv"),
    ("export", "--format", "ndjson"),
    ("prune", "--older-than", "10m"),
)


def measure() -> list[Row]:
    """Return the peak resident set of the commands that go through all data."""
    with scratch() as home:
        with mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
            mongo.prepare(database)
            fill_minutes(database, FIXES // 2)
            fill_fixes(database, FIXES)
        return [
            Row(
                f"peak RSS of `locctl {' '.join(command)}` (aim: {AIM_MB} or less)",
                "MB",
                [_peak_mb(home, command)],
            )
            for command in COMMANDS
        ]


def _peak_mb(home: Scratch, command: Sequence[str]) -> float:
    watched = subprocess.run(  # noqa: S603  the command is all ours
        [str(BIN / "python"), "-c", _WATCH, str(BIN / "locctl"), *command],
        env=dict(home.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(watched.stdout) * 1024 / 1e6
