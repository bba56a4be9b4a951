"""Log a repeated error once, then its count once a minute, then the recovery."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from locapi.text import quantity

REPEAT_S = 60.0
RECOVERY_S = 10.0  # without an error; an error that returns sooner is the same incident
MAX_KINDS = 100


@dataclass
class _Incident:
    message: str
    first_at: float
    last_at: float
    logged_at: float
    count: int = 1
    unlogged: int = 0


class ErrorLog:
    """The rate-limited log of one task's errors, by kind; thread-safe.

    The first error of a kind is logged at once, then the number of further ones each minute, and
    finally the recovery of the task.
    """

    def __init__(
        self, log: logging.Logger, task: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._task, self._now = log, task, now
        self._lock = threading.Lock()
        self._incidents: dict[str, _Incident] = {}

    def failed(self, kind: str, message: str) -> None:
        """Record an error; errors of the same `kind` are logged together."""
        with self._lock:
            now = self._now()
            if kind not in self._incidents and len(self._incidents) >= MAX_KINDS:
                kind = "others"
            incident = self._incidents.get(kind)
            if incident is None:
                self._incidents[kind] = _Incident(message, now, now, now)
                self._log.error("%s: %s", self._task, message)
                return
            incident.last_at = now
            incident.count += 1
            incident.unlogged += 1
            if now - incident.logged_at >= REPEAT_S:
                self._log.error("%s: %s (%s more)", self._task, message, f"{incident.unlogged:,}")
                incident.logged_at, incident.unlogged = now, 0

    def succeeded(self) -> None:
        """Record a success; this costs next to nothing while there are no errors."""
        if not self._incidents:
            return
        with self._lock:
            now = self._now()
            for kind, incident in list(self._incidents.items()):
                if now - incident.last_at >= RECOVERY_S:
                    del self._incidents[kind]
                    self._log_recovery(incident)

    def _log_recovery(self, incident: _Incident) -> None:
        self._log.warning(
            "%s: recovered after %.0f s and %s: %s",
            self._task,
            incident.last_at - incident.first_at,
            quantity(incident.count, "error"),
            incident.message,
        )
