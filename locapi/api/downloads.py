"""Write responses with minutes to temporary files, so that no reader slows down PUT.

A few threads write these files page by page, each for at most half of the time. A complete file is
sent from the disk as fast as the client reads it, so a slow client only keeps a file open.
"""

import errno
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from locapi.concurrency import greenlets
from locapi.errors import InvalidRequest, Overloaded

T = TypeVar("T")
Page = TypeVar("Page")

THREADS = 2
MAX_WAITING = 32  # requests in one worker; each further one is refused
MAX_SENDING = 100  # files in one worker that clients have not read to the end yet
PAGE_SIZE = 500  # the interpreter is busy for some milliseconds with one
_PREFIX = "locapi-download-"


class Downloads:
    """Writes files for the requests of one worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="locapi-downloads")
        self._in_thread = greenlets.run_in_thread(_write, threads)

    def write(self, write: Callable[[BinaryIO], T]) -> tuple[BinaryIO, T]:
        """Return a file that has what `write` wrote, and its result; the file has no name.

        Raises Overloaded if too many requests wait or too many files are being sent, and
        InvalidRequest if the disk is full.
        """
        with self._lock:
            if self._waiting >= MAX_WAITING:
                raise Overloaded("too many requests wait for minutes")
            self._waiting += 1
        try:
            return self._in_thread(write)
        finally:
            with self._lock:
                self._waiting -= 1


def _write(write: Callable[[BinaryIO], T]) -> tuple[BinaryIO, T]:
    if _count_sending() >= MAX_SENDING:
        raise Overloaded("too many clients are reading minutes")
    handle, path = tempfile.mkstemp(prefix=_PREFIX)
    Path(path).unlink()
    file = os.fdopen(handle, "w+b")
    try:
        result = write(file)
        file.flush()
        file.seek(0)
    except OSError as error:
        file.close()
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InvalidRequest(
            "the response does not fit on the server's disk for temporary files. "
            "Ask for less with since, until or user_id."
        ) from error
    except BaseException:
        file.close()
        raise
    return file, result


def gently(pages: Iterable[Page]) -> Iterator[Page]:
    """Yield pages, and pause after each for the CPU time that it took: half of it is PUT's."""
    begun = time.thread_time()
    for page in pages:
        yield page
        time.sleep(time.thread_time() - begun)
        begun = time.thread_time()


def _count_sending() -> int:
    """Return how many files the server is sending; 0 on a system without /proc.

    It opens them once more, beside the copy that the bridge keeps open for a while.
    """
    names: Counter[str] = Counter()
    with suppress(FileNotFoundError):
        for handle in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                names[handle.readlink().name] += 1
    return sum(name.startswith(_PREFIX) and count > 1 for name, count in names.items())
