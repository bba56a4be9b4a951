"""How much is tried: `make test` takes a part of what `make prove` goes through."""

import os
from collections.abc import Iterator
from itertools import count
from zlib import crc32

PROVING = os.environ.get("HYPOTHESIS_PROFILE") == "prove"


def examples(usual: int) -> int:
    """Return how many examples of a property to try."""
    return 10 * usual if PROVING else usual


def moments(name: str) -> Iterator[int]:
    """Yield the numbers of the commands to break in at: all, or every third from one of its own."""
    step = stride(3)
    return count(crc32(name.encode()) % step, step)


def stride(usual: int) -> int:
    """Return by how many to go on where a part stands for all."""
    return 1 if PROVING else usual
