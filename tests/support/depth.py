"""Choose how much to try: `make test` runs a share of the cases of `make prove`.

The share changes with each commit, so that everything is tried over time. The header of a run
names its seed; set TEST_SEED to it to try the same share again.
"""

import os
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from zlib import crc32

PROVING = os.environ.get("HYPOTHESIS_PROFILE") == "prove"


def _commit() -> str:
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except FileNotFoundError:
        return "no git"
    return found.stdout.strip() or "no commit"


SEED = os.environ.get("TEST_SEED") or _commit()


def examples(usual: int) -> int:
    """Return how many examples of a property to try."""
    return 10 * usual if PROVING else usual


def share(name: str, every: int) -> slice:
    """Return which of the cases of a test to try: all, or one of `every`."""
    step = 1 if PROVING else every
    return slice(seed(name) % step, None, step)


def seed(name: str) -> int:
    """Return a seed for a test's random choices, another one with each commit."""
    return crc32(f"{name} {SEED}".encode())


def moments(name: str, every: int = 6) -> Iterator[int]:
    """Yield the numbers of the commands to interrupt a test's operation at, without end."""
    part = share(name, every)
    return count(part.start, part.step)
