"""Say once that something fails, then how often, then that it is over: never a line a request."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

EVERY_S = 60.0
QUIET_S = (
    10.0  # without a failure before it is over, lest one that comes and goes be told each time
)
_MOST_KINDS = 100


@dataclass
class _Incident:
    message: str
    began: float
    last: float
    told: float
    count: int = 1
    untold: int = 0


class Incidents:
    """The failures of one task, by kind; may be shared by threads.

    The first of a kind is logged in full, then once a minute how many more there
    were, and one line when the task has succeeded again for a while.
    """

    def __init__(
        self, log: logging.Logger, task: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._task, self._now = log, task, now
        self._lock = threading.Lock()
        self._open: dict[str, _Incident] = {}

    def failed(self, kind: str, message: str) -> None:
        """Note a failure; `kind` is what makes it the same as another."""
        with self._lock:
            now = self._now()
            if kind not in self._open and len(self._open) >= _MOST_KINDS:
                kind = "others"
            incident = self._open.get(kind)
            if incident is None:
                self._open[kind] = _Incident(message, now, now, now)
                self._log.error("%s: %s", self._task, message)
                return
            incident.last = now
            incident.count += 1
            incident.untold += 1
            if now - incident.told >= EVERY_S:
                self._log.error("%s: %s (%s more)", self._task, message, f"{incident.untold:,}")
                incident.told, incident.untold = now, 0

    def succeeded(self) -> None:
        """Note a success, which costs next to nothing while nothing fails."""
        if self._open:
            with self._lock:
                now = self._now()
                for kind, incident in list(self._open.items()):
                    if now - incident.last >= QUIET_S:
                        del self._open[kind]
                        self._say_over(incident)

    def _say_over(self, incident: _Incident) -> None:
        self._log.warning(
            "%s: over after %.0f s; it failed %s times by: %s",
            self._task,
            incident.last - incident.began,
            f"{incident.count:,}",
            incident.message,
        )
