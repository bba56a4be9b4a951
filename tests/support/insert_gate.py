"""Hold the inserts of a collection until a test lets them pass."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from pymongo.collection import Collection

from locapi.storage.documents import Document
from tests.support.processes import DEADLINE_S


class InsertGate:
    """Stands in front of `insert_many`, notes the `_id`s of each batch, and waits for `open`."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.failure: Exception | None = None  # raised instead of an insert
        self._arrived = threading.Semaphore(0)
        self._opened = threading.Semaphore(0)

    def open(self, batches: int = 1) -> None:
        """Let so many batches pass."""
        self._opened.release(batches)

    def wait_for_batch(self) -> None:
        """Return once one more batch has arrived."""
        assert self._arrived.acquire(timeout=DEADLINE_S)

    def arrive(self, documents: list[Document]) -> None:
        """Note a batch and wait until it may pass."""
        self.batches.append([document["_id"] for document in documents])
        self._arrived.release()
        assert self._opened.acquire(timeout=DEADLINE_S)
        if self.failure:
            raise self.failure


@contextmanager
def gated(collection: Collection[Document]) -> Iterator[InsertGate]:
    """Hold each `insert_many` of collections of this name."""
    gate, insert_many = InsertGate(), Collection.insert_many

    def held(self: Collection[Document], documents: list[Document], **options: Any) -> Any:
        if self.name == collection.name:
            gate.arrive(documents)
        return insert_many(self, documents, **options)

    with mock.patch.object(Collection, "insert_many", held):
        yield gate
