"""Measure how many requests an API answers a second, from its `/metrics`."""

import re
from collections import deque
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from locapi.errors import ApiUnreachable, Misconfigured
from locapi.monitoring.ingest_rate import RATE_S

TIMEOUT_S = 2
_MAX_PAGE_BYTES = 1 << 20
_TOTAL = re.compile(r'^locapi_answers_total\{code="\d+",verdict="(\w+)"\} (\S+)$', re.MULTILINE)


class ResponseRates:
    """Follow the responses of one API, of all its workers together."""

    def __init__(self, url: str) -> None:
        """Raise Misconfigured unless `url` is an HTTP address."""
        try:
            address = urlsplit(url)
            host, port = address.hostname, address.port
        except ValueError:
            host = None
        if host is None or address.scheme not in ("http", "https") or address.username:
            # The value is not repeated, as it may hold a password.
            raise Misconfigured(
                "--api is not an HTTP address. Write it like http://127.0.0.1:5000."
            )
        connection_class = HTTPSConnection if address.scheme == "https" else HTTPConnection
        self._connection = connection_class(host, port, timeout=TIMEOUT_S)
        self._path = f"{address.path.rstrip('/')}/metrics"
        self._samples: deque[tuple[float, dict[str, float]]] = deque()

    def sample(self, now: float) -> dict[str, float]:
        """Return the responses a second by verdict; `now` is the time of a monotonic clock.

        The rates of the first sample are 0. Raises ApiUnreachable.
        """
        totals = self._read_totals()
        if self._samples and _has_decreased(self._samples[-1][1], totals):
            self._samples.clear()  # the API was restarted
        self._samples.append((now, totals))
        while len(self._samples) > 2 and self._samples[1][0] <= now - RATE_S:
            self._samples.popleft()
        then, before = self._samples[0]
        seconds = max(now - then, 1e-9)
        return {name: (total - before.get(name, 0)) / seconds for name, total in totals.items()}

    def _read_totals(self) -> dict[str, float]:
        try:
            with closing(self._connection):  # the next request opens it again
                self._connection.request("GET", self._path)
                with self._connection.getresponse() as response:
                    page = response.read(_MAX_PAGE_BYTES).decode(errors="replace")
        except (OSError, HTTPException) as error:
            raise ApiUnreachable(f"the API does not respond ({_reason(error)})") from error
        totals: dict[str, float] = {}
        for verdict, total in _TOTAL.findall(page):
            totals[verdict] = totals.get(verdict, 0.0) + float(total)
        if response.status != 200 or not totals:
            raise ApiUnreachable(f"no metrics of locapi at {self._path} (HTTP {response.status})")
        return totals


def _has_decreased(before: dict[str, float], totals: dict[str, float]) -> bool:
    return any(totals.get(name, 0) < total for name, total in before.items())


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", None) or type(error).__name__
