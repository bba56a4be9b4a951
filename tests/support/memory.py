"""Directories in memory for databases: their writes take a third of the time."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.support.processes import is_running

_MEMORY = Path("/dev/shm")
_PREFIX = "locapi-tests-"
_NEEDED_BYTES = 4 * 1024**3


@contextmanager
def directory() -> Iterator[Path]:
    """Yield an empty directory, which is on disk if this machine has no memory to spare."""
    _remove_left_over()
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _NEEDED_BYTES
    parent = _MEMORY if in_memory else None
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent) as home:
        yield Path(home)


@cache
def _remove_left_over() -> None:
    """Remove what runs that were killed have left; once in each process is enough."""
    for home in _MEMORY.glob(f"{_PREFIX}*"):
        pid, _, _ = home.name.removeprefix(_PREFIX).partition("-")
        if not is_running(int(pid)):
            shutil.rmtree(home, ignore_errors=True)
