"""Requests in flight share a commit: one `insert_many` for all, and a verdict for each.

While one batch is on its way, the documents that arrive form the next. There is no
timer: a lone document is sent at once, and more load only makes the batches larger.
"""

import threading

from pymongo.collection import Collection
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from locapi import greenlets
from locapi.errors import Overloaded
from locapi.metrics import Metrics
from locapi.mongo import Document

MAX_WAITING = 10_000
_DUPLICATE_KEY = 11_000


class _Batch:
    """Documents that share a commit; who brought the first one sends it."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.turn = greenlets.Event()  # the batch before it is done
        self.done = greenlets.Event()
        self._errors: dict[int, Exception] = {}
        self._unsure: Exception | None = PyMongoError("never sent")

    def send(self, collection: Collection[Document]) -> None:
        """Insert the documents, and keep for each the error that it alone would have met."""
        try:
            _insert(collection, self.documents)
            self._unsure = None
        except BulkWriteError as error:
            self._unsure = None
            for failed in error.details["writeErrors"]:
                kind = DuplicateKeyError if failed["code"] == _DUPLICATE_KEY else OperationFailure
                self._errors[failed["index"]] = kind(failed["errmsg"], failed["code"])
            for doubt in error.details.get("writeConcernErrors", ()):
                self._unsure = WTimeoutError(doubt["errmsg"])
        except PyMongoError as error:
            self._unsure = error

    def error(self, place: int) -> Exception | None:
        """Return what became of the document at this place; None where it is on disk."""
        return self._errors.get(place, self._unsure)


@greenlets.aside
def _insert(collection: Collection[Document], documents: list[Document]) -> None:
    collection.insert_many(documents, ordered=False)


class SharedInserts:
    """Inserts into one collection; meant to be called by many requests at once."""

    def __init__(self, collection: Collection[Document], metrics: Metrics | None = None) -> None:
        self._collection = collection
        self._metrics = metrics or Metrics()
        self._lock = threading.Lock()
        self._next: _Batch | None = None  # takes what arrives
        self._sending = False  # another batch is on its way

    def insert(self, document: Document) -> None:
        """Insert a document as `insert_one` does, with its errors, and return once acknowledged.

        Of two with one `_id`, the one that came first is inserted. Raises
        Overloaded where too many wait already.
        """
        with self._lock:
            if self._next is None:
                self._next = _Batch()
            batch = self._next
            place = len(batch.documents)
            if place >= MAX_WAITING:
                raise Overloaded("too many fixes wait to be stored")
            batch.documents.append(document)
            others, self._sending = self._sending, True
            if others:
                self._metrics.waiting(place + 1)
        if place:
            batch.done.wait()
        else:
            if others:
                batch.turn.wait()
            self._send(batch)
        if (error := batch.error(place)) is not None:
            raise error

    def _send(self, batch: _Batch) -> None:
        """Send a batch, and hand over to the one that formed meanwhile."""
        greenlets.settle()  # those that have arrived may share it
        with self._lock:
            self._next = None
            self._metrics.waiting(0)
        try:
            self._metrics.sent(len(batch.documents))
            batch.send(self._collection)
        finally:
            with self._lock:
                self._sending = self._next is not None
                if self._next is not None:
                    self._next.turn.set()
            batch.done.set()
