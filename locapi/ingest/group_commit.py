"""Insert the documents of all requests in progress with one `insert_many`."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, WriteConcernError

from locapi.concurrency import greenlets
from locapi.concurrency.coalescing import Coalescer
from locapi.monitoring.metrics import Metrics
from locapi.storage.documents import Document

_DUPLICATE_KEY = 11_000

Outcome = OperationFailure | None


class GroupCommit:
    """Inserts into one collection; many requests may call it at once."""

    def __init__(self, collection: Collection[Document], metrics: Metrics | None = None) -> None:
        self._collection = collection
        self._metrics = metrics or Metrics()
        self._commit = Coalescer(self._insert_all, self._metrics.waiting)

    def insert(self, documents: list[Document]) -> list[Outcome]:
        """Insert documents and return for each the error that it alone would have met, or None.

        Of two documents with one `_id` the first is inserted. Raises what concerns all of
        them: PyMongoError, and Overloaded when too many requests wait.
        """
        return self._commit(documents)

    def _insert_all(self, requests: list[list[Document]]) -> list[list[Outcome]]:
        documents = list(chain.from_iterable(requests))
        self._metrics.sent(len(documents))
        outcomes = iter(self._insert_each(documents))
        return [list(islice(outcomes, len(request))) for request in requests]

    def _insert_each(self, documents: list[Document]) -> Sequence[Outcome]:
        try:
            self._insert_many(documents)
        except BulkWriteError as error:
            return list(_outcomes(error, len(documents)))
        return [None] * len(documents)

    @greenlets.run_in_thread
    def _insert_many(self, documents: list[Document]) -> None:
        self._collection.insert_many(documents, ordered=False)


def _outcomes(error: BulkWriteError, count: int) -> Iterator[Outcome]:
    unconfirmed: Outcome = None
    for each in error.details.get("writeConcernErrors", ()):
        unconfirmed = WriteConcernError(each["errmsg"], each["code"], each)
    failed = {each["index"]: each for each in error.details["writeErrors"]}
    for index in range(count):
        if index not in failed:
            yield unconfirmed
        else:
            each = failed[index]
            kind = DuplicateKeyError if each["code"] == _DUPLICATE_KEY else OperationFailure
            yield kind(each["errmsg"], each["code"], each)
