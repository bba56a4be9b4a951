"""Requests in flight share a commit: one `insert_many` for all, and a verdict for each."""

from collections.abc import Sequence

from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, WTimeoutError

from locapi import greenlets
from locapi.metrics import Metrics
from locapi.mongo import Document
from locapi.sharing import Shared

_DUPLICATE_KEY = 11_000


class SharedInserts:
    """Inserts into one collection; meant to be called by many requests at once."""

    def __init__(self, collection: Collection[Document], metrics: Metrics | None = None) -> None:
        self._collection = collection
        self._metrics = metrics or Metrics()
        self._shared = Shared(self._send, self._metrics.waiting)

    def insert(self, document: Document) -> None:
        """Insert a document as `insert_one` does, with its errors, and return once acknowledged.

        Of two with one `_id`, the one that came first is inserted. Raises
        Overloaded where too many wait already.
        """
        if (error := self._shared(document)) is not None:
            raise error

    def _send(self, documents: list[Document]) -> Sequence[Exception | None]:
        """Return for each document the error that it alone would have met."""
        self._metrics.sent(len(documents))
        return insert_each(self._collection, documents)


def insert_each(
    collection: Collection[Document], documents: list[Document]
) -> Sequence[Exception | None]:
    """Insert documents in one call, and return for each the error that it alone would have met."""
    try:
        _insert(collection, documents)
    except BulkWriteError as error:
        return _verdicts(error, len(documents))
    return [None] * len(documents)


@greenlets.aside
def _insert(collection: Collection[Document], documents: list[Document]) -> None:
    collection.insert_many(documents, ordered=False)


def _verdicts(error: BulkWriteError, count: int) -> list[Exception | None]:
    unsure: Exception | None = None
    for doubt in error.details.get("writeConcernErrors", ()):
        unsure = WTimeoutError(doubt["errmsg"])
    verdicts = [unsure] * count
    for failed in error.details["writeErrors"]:
        kind = DuplicateKeyError if failed["code"] == _DUPLICATE_KEY else OperationFailure
        verdicts[failed["index"]] = kind(failed["errmsg"], failed["code"])
    return verdicts
