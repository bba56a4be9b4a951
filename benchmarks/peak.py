"""Measure the peak memory of `locctl` commands."""

import subprocess
from collections.abc import Sequence

from benchmarks import raw
from benchmarks.harness import Row, Target
from benchmarks.serving import BIN, Scratch, scratch
from locapi.settings import Settings
from locapi.storage import migrate, mongo

USERS = 100
FIXES = 600_000
RHYTHM_S = 60  # as many minutes as fixes
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
    ("prune", "--older-than", "1s"),
)


def measure() -> list[Row]:
    """Return the peak resident set of the commands that go through all data."""
    with scratch() as home:
        with mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
            migrate.prepare(database)
            raw.receive(database, raw.arriving(USERS, FIXES, RHYTHM_S))
        return [
            Row(
                f"peak RSS of `locctl {' '.join(command)}`, {FIXES:,} fixes and minutes",
                "MB",
                [_peak_mb(home, command)],
                target=Target(at_most=150),
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
