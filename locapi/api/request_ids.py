"""Give each request an id, by which the log and the client refer to it."""

import itertools
import os
import re
from collections.abc import Iterator

_USABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def choose(sent: str | None, new_ids: Iterator[str]) -> str:
    """Return the id that the client sent, or a new one."""
    return sent if sent is not None and _USABLE.fullmatch(sent) else next(new_ids)


def generate() -> Iterator[str]:
    """Yield ids that no other process generates; threads may share the iterator."""
    process = os.urandom(6).hex()
    return map(f"{process}-{{}}".format, itertools.count(1))  # unlike a generator, thread-safe
