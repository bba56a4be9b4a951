"""How fast fixes come, from how many users, and what the API answers; for who looks on."""

import re
from collections import deque
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

import pymongo
from bson import Timestamp
from pymongo.database import Database

from locapi import mongo, windows
from locapi.errors import ApiUnreachable, Misconfigured
from locapi.mongo import FIXES, Document

ACTIVE_S = 300  # who sent a fix within is active
RATE_S = 10  # rates are means over it
DEADLINE_S = 5

_SETTLED_S = 1  # a fix becomes visible a little after the time it bears
_MAX_FIXES = 50_000  # looked at at once
_API_S = 2
_PAGE_BYTES = 1 << 20
_ANSWERS = re.compile(r'^locapi_answers_total\{code="\d+",verdict="(\w+)"\} (\S+)$', re.MULTILINE)


class Pace(NamedTuple):
    """Fixes received a second, and how many users sent one within the last `within_s`."""

    fixes_per_s: float
    users: int
    within_s: int


class Pacer:
    """Follow the fixes of one database from look to look; each reads only what came since."""

    def __init__(self, database: Database[Document]) -> None:
        self._fixes = database[FIXES]
        self._last_fix: dict[str, int] = {}  # of a user, in seconds
        self._since = 0  # when what is known of them begins
        self._until = 0

    def look(self, now: datetime) -> Pace:
        """Return the pace; `now` is by the database's clock."""
        until = int(now.timestamp()) - _SETTLED_S
        with mongo.translated_errors(), pymongo.timeout(DEADLINE_S):
            if until > self._until:
                self._catch_up(until)
            received = self._fixes.count_documents(_between(until - RATE_S, until))
        self._forget(until - ACTIVE_S)
        return Pace(received / RATE_S, len(self._last_fix), until - self._since)

    def _catch_up(self, until: int) -> None:
        start = self._start(until)
        if start > self._until:  # what lies between is not known
            self._last_fix, self._since = {}, start
        last = {"_id": "$user_id", "last": {"$max": "$received_at"}}
        stages = [{"$match": _between(start, until)}, {"$group": last}]
        with self._fixes.aggregate(stages) as users:
            self._last_fix.update((user["_id"], user["last"].time) for user in users)
        self._until = until

    def _start(self, until: int) -> int:
        start = max(self._until, until - ACTIVE_S)
        newest = self._fixes.find(
            _between(start, until), {"_id": 0, "received_at": 1}, sort=[("received_at", -1)]
        )
        beyond = next(newest.skip(_MAX_FIXES).limit(1), None)
        return start if beyond is None else min(until, beyond["received_at"].time + 1)

    def _forget(self, before: int) -> None:
        self._last_fix = {user: at for user, at in self._last_fix.items() if at >= before}
        self._since = max(self._since, before)


def _between(start: int, until: int) -> Document:
    # Without those of before there were slices, which are old, all is told by the index alone.
    starts: windows.Starts = dict.fromkeys(windows.ALL, Timestamp(max(0, start), 0))
    return windows.since(starts, Timestamp(until, 0))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", None) or type(error).__name__


class AnswerRates:
    """Follow what one API answers, all its workers together, by its `/metrics`."""

    def __init__(self, url: str) -> None:
        """Begin; raises Misconfigured for what is no HTTP address."""
        try:
            address = urlsplit(url)
            host, port = address.hostname, address.port
        except ValueError:
            host = None
        if host is None or address.scheme not in ("http", "https") or address.username:
            raise Misconfigured("--api is the API's address, such as http://127.0.0.1:5000")
        kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
        self._connection = kind(host, port, timeout=_API_S)
        self._path = f"{address.path.rstrip('/')}/metrics"
        self._looks: deque[tuple[float, dict[str, float]]] = deque()

    def look(self, now: float) -> dict[str, float]:
        """Return the answers a second by verdict; `now` is in seconds, by any steady clock.

        Raises ApiUnreachable. The first look has nothing to compare with: its rates are 0.
        """
        totals = self._totals()
        if self._looks and any(totals.get(name, 0) < n for name, n in self._looks[-1][1].items()):
            self._looks.clear()  # it has been started anew
        self._looks.append((now, totals))
        while len(self._looks) > 2 and self._looks[1][0] <= now - RATE_S:
            self._looks.popleft()
        then, before = self._looks[0]
        seconds = max(now - then, 1e-9)
        return {name: (total - before.get(name, 0)) / seconds for name, total in totals.items()}

    def _totals(self) -> dict[str, float]:
        try:
            with closing(self._connection):  # it opens again by itself
                self._connection.request("GET", self._path)
                with self._connection.getresponse() as answer:
                    page = answer.read(_PAGE_BYTES).decode(errors="replace")
        except (OSError, HTTPException) as error:
            raise ApiUnreachable(f"the API does not answer ({_reason(error)})") from error
        totals: dict[str, float] = {}
        for verdict, total in _ANSWERS.findall(page):
            totals[verdict] = totals.get(verdict, 0.0) + float(total)
        if answer.status != 200 or not totals:
            raise ApiUnreachable(f"no metrics of locapi at that address (status {answer.status})")
        return totals
