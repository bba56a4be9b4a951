"""Requests in flight share a commit: one `insert_many` for all, and a verdict for each.

While one batch is on its way, the documents that arrive form the next. There is no
timer: a lone document is sent at once, and more load only makes the batches larger.
"""

import threading
from dataclasses import dataclass, field

from pymongo.collection import Collection
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from locapi.errors import Overloaded
from locapi.mongo import Document

MAX_WAITING = 10_000
_DUPLICATE_KEY = 11_000


@dataclass(slots=True)
class _Waiting:
    document: Document
    lead: bool = False
    error: Exception | None = field(default_factory=lambda: PyMongoError("never sent"))
    woken: threading.Lock = field(default_factory=threading.Lock)


class SharedInserts:
    """Inserts into one collection; meant to be called from many threads at once."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._led = False  # somebody's batch is on its way

    def insert(self, document: Document) -> None:
        """Insert a document as `insert_one` does, with its errors, and return once acknowledged.

        Of two with one `_id`, the one that came first is inserted. Raises
        Overloaded where too many wait already.
        """
        mine = _Waiting(document)
        mine.woken.acquire()
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                raise Overloaded("too many fixes wait to be stored")
            self._waiting.append(mine)
            mine.lead = not self._led
            self._led = True
        if not mine.lead:
            mine.woken.acquire()  # until it is stored, or its turn to lead
        if mine.lead:
            self._lead()
        if mine.error is not None:
            raise mine.error

    def _lead(self) -> None:
        """Send all that waits, and hand over to the first of those that came meanwhile."""
        with self._lock:
            batch, self._waiting = self._waiting, []
        try:
            _insert(self._collection, batch)
        finally:
            with self._lock:
                self._led = bool(self._waiting)
                if self._led:
                    self._waiting[0].lead = True
                    self._waiting[0].woken.release()
            for waiting in batch:
                if not waiting.lead:
                    waiting.woken.release()


def _insert(collection: Collection[Document], batch: list[_Waiting]) -> None:
    """Insert a batch, and leave each of it the error that it alone would have met."""
    errors: dict[int, Exception] = {}
    unsure: Exception | None = None
    try:
        collection.insert_many([waiting.document for waiting in batch], ordered=False)
    except BulkWriteError as error:
        for failed in error.details["writeErrors"]:
            kind = DuplicateKeyError if failed["code"] == _DUPLICATE_KEY else OperationFailure
            errors[failed["index"]] = kind(failed["errmsg"], failed["code"])
        for doubt in error.details.get("writeConcernErrors", ()):
            unsure = WTimeoutError(doubt["errmsg"])
    except PyMongoError as error:
        unsure = error
    for index, waiting in enumerate(batch):
        waiting.error = errors.get(index, unsure)
