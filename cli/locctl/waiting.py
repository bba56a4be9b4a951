"""Log that a command waits for the database, which may take half a minute."""

import logging
import time
from collections.abc import Callable
from functools import cache

from pymongo import monitoring

PATIENCE_S = 5.0

_log = logging.getLogger(__name__)


@cache
def log_waiting() -> None:
    """Watch all database clients of this process that are made from here on."""
    monitoring.register(Waiting())


class Waiting(monitoring.ServerHeartbeatListener):
    """Log once when no server has answered for a while, and again after the next answer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._silent_since: float | None = None  # until a server answers
        self._is_logged = False

    def started(self, event: monitoring.ServerHeartbeatStartedEvent) -> None:  # noqa: ARG002  pymongo's
        """Note the time of the first request that is not answered."""
        if self._silent_since is None:
            self._silent_since = self._clock()

    def succeeded(self, event: monitoring.ServerHeartbeatSucceededEvent) -> None:  # noqa: ARG002  pymongo's
        """Start again."""
        self._silent_since, self._is_logged = None, False

    def failed(self, event: monitoring.ServerHeartbeatFailedEvent) -> None:
        """Log if it has been too long."""
        if self._silent_since is None or self._is_logged:
            return
        if self._clock() - self._silent_since >= PATIENCE_S:
            self._is_logged = True
            host, port = event.connection_id
            _log.warning("waiting for the database: %s:%s does not answer", host, port)
