"""A directory in memory, for a database that no test kills: its writes take a third of the time."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import is_running

_MEMORY = Path("/dev/shm")
_PREFIX = "locapi-test-"
_NEEDED_BYTES = 4 * 1024**3


@contextmanager
def directory() -> Iterator[Path | None]:
    """Yield an empty directory, or None if this machine has no memory to spare for it."""
    _remove_left_over()
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _NEEDED_BYTES:
        yield None
        return
    home = _MEMORY / f"{_PREFIX}{os.getpid()}"
    home.mkdir()
    try:
        yield home
    finally:
        shutil.rmtree(home)


def _remove_left_over() -> None:
    """Remove what runs that were killed have left."""
    for home in _MEMORY.glob(f"{_PREFIX}*"):
        if not is_running(int(home.name.removeprefix(_PREFIX))):
            shutil.rmtree(home, ignore_errors=True)
