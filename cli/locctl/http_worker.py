"""A worker process of the HTTP server: load the application, report that, end with the parent."""

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any, NamedTuple

from locapi import logs
from locapi.errors import LocapiError

# For requests in progress: longer than their deadline for the database (8 s), and shorter than
# Docker waits until it kills (10 s).
STOP_S = 8.5

_log = logging.getLogger(__name__)


class Starts(NamedTuple):
    """How many starts of workers, in all processes, have begun since one succeeded."""

    count: Any  # a ctypes.c_int in shared memory
    limit: int

    def give_up(self) -> None:
        """Allow no further start."""
        self.count.value = self.limit + 1

    def are_exhausted(self) -> bool:
        """Return whether no further start is allowed."""
        return bool(self.count.value > self.limit)


class Announcement(NamedTuple):
    """What the first worker that listens logs, so that a request sent after it is answered."""

    message: str
    is_logged: Any  # a flag in shared memory, with a lock

    def log(self) -> None:
        """Log the message, unless a worker has."""
        with self.is_logged.get_lock():
            if not self.is_logged.value:
                self.is_logged.value = True
                _log.info(self.message)


def load_application(starts: Starts, serving: Announcement, name: str) -> Any:
    """Return the application `name` with hooks; Granian calls this in each worker."""
    logs.configure()
    # uvloop loses a SIGTERM that arrives shortly before it runs, so the signal has to wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    parent: Any = multiprocessing.parent_process()
    threading.Thread(target=_stop_with, args=(parent,), daemon=True).start()
    starts.count.value += 1
    if starts.are_exhausted():
        os.kill(parent.pid, signal.SIGTERM)
        sys.exit(1)
    try:
        application = resolve_name(name)()
    except Exception as error:
        reason = str(error) if isinstance(error, LocapiError) else logs.stack(error)
        _log.error("a worker cannot start: %s", reason)
        sys.exit(1)

    # What is loaded stays, and requests leave few cycles: without this, a sixth of the time of
    # a request goes into looking for garbage.
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)

    def begin() -> None:
        starts.count.value = 0
        serving.log()  # Granian listens before it runs the loop
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    return SimpleNamespace(__rsgi__=application, __rsgi_init__=lambda loop: loop.call_soon(begin))


def _stop_with(parent: Any) -> None:
    """Stop this worker once the process that would replace it is gone."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_S)
    os._exit(1)
