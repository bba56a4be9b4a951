"""Keep what could not be accepted as a fix, so that a client's fault can be found and fixed."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

import pymongo
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from locapi import times
from locapi.concurrency import greenlets
from locapi.errors import InvalidFix
from locapi.fixes import ids, validation
from locapi.storage import driver_errors
from locapi.storage.documents import REJECTS, Document

NOBODY = ""  # the user of a reject that names none
MAX_A_DAY = 1_000  # of one user; more are dropped
DEADLINE_S = 8
_MAX_CONTENT = 8 * 1024  # characters
# A value and what to do about it: up to the first ) that ends a fault and is in no quoted text.
_SENT = re.compile(r' \((?:"(?:[^"\\]|\\.)*"|[^"])*?\)(?=; |$)')
_DUPLICATE_KEY = 11_000


class Reject(NamedTuple):
    """What was sent, by which user as far as that is known, and what is wrong with it."""

    user_id: str
    content: Any  # JSON, or the body as it came
    fault: InvalidFix


class RejectStore:
    """The rejects of one database; threads may share it."""

    def __init__(
        self, database: Database[Document], days: int, now: Callable[[], datetime] = times.utc_now
    ) -> None:
        self._rejects = database[REJECTS]
        self._kept = timedelta(days=days)
        self._now = now

    def keep(self, endpoint: str, rejects: Sequence[Reject]) -> None:
        """Store rejects and return once they are on disk; the same one again changes nothing.

        Of each user, at most MAX_A_DAY of one day are kept. Raises DatabaseUnavailable.
        """
        if rejects:
            documents = [self._document(endpoint, each) for each in rejects]
            with driver_errors.translated(), pymongo.timeout(DEADLINE_S):
                self._insert(sorted(documents, key=_day_of))

    def _document(self, endpoint: str, reject: Reject) -> Document:
        now = self._now()
        content = _as_text(reject.content)
        digest = hashlib.sha256(content.encode()).hexdigest()[:32]
        return {
            "_id": f"{reject.user_id}\t{now:%Y-%m-%d}\t{digest}",
            "user_id": reject.user_id,
            "endpoint": endpoint,
            "received_at": now,
            "expires_at": now + self._kept,
            "reason": str(reject.fault),
            "fields": sorted(reject.fault.fields),
            "content": content,
        }

    @greenlets.run_in_thread
    def _insert(self, documents: list[Document]) -> None:
        for day, group in groupby(documents, _day_of):
            of_day = {"_id": {"$gte": f"{day}\t", "$lt": f"{day}\n"}}
            left = MAX_A_DAY - self._rejects.count_documents(of_day, limit=MAX_A_DAY)
            if some := list(group)[:left]:
                self._insert_new(some)

    def _insert_new(self, documents: list[Document]) -> None:
        try:
            self._rejects.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            refused = any(each["code"] != _DUPLICATE_KEY for each in error.details["writeErrors"])
            if refused or error.details.get("writeConcernErrors"):
                raise


def known_user(named: Any) -> str:
    """Return a user_id if it is one, else NOBODY."""
    is_known = isinstance(named, str) and not validation.user_id_faults(named)
    return named if is_known else NOBODY


def find(database: Database[Document], user_id: str | None = None) -> Iterator[Document]:
    """Yield all rejects, or those of one user, the newest first."""
    which = {} if user_id is None else {"_id": ids.of_user(user_id)}
    order = [("received_at", -1), ("_id", 1)]
    with driver_errors.translated(), database[REJECTS].find(which, sort=order) as found:
        yield from found


def reason_without_value(reject: Document) -> str:
    """Return why something was rejected, without the value that was sent."""
    return _SENT.sub("", reject["reason"])


def _day_of(document: Document) -> str:
    day, _, _ = document["_id"].rpartition("\t")
    return str(day)


def _as_text(content: Any) -> str:
    if isinstance(content, bytes):
        text = content.decode("utf-8", "backslashreplace")
    else:
        text = json.dumps(content, default=str)  # ASCII, so also a lone surrogate can be stored
    return text[:_MAX_CONTENT].replace("\0", "\\0")
