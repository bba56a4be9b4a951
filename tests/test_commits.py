"""Requests in flight share a commit, and each gets its own verdict."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from locapi import sharing
from locapi.commits import SharedInserts
from locapi.errors import Overloaded
from locapi.mongo import Document

DEADLINE_S = 30


class Gate:
    """Stands before a collection's `insert_many`, notes each batch, and lets it pass when told."""

    def __init__(self, collection: Collection[Document]) -> None:
        self.batches: list[list[Any]] = []
        self.arrived = threading.Semaphore(0)
        self.opened = threading.Semaphore(0)
        self.failure: Exception | None = None
        self._insert_many = collection.insert_many

    def insert_many(self, documents: list[Document], *, ordered: bool) -> Any:
        self.batches.append([document["_id"] for document in documents])
        self.arrived.release()
        assert self.opened.acquire(timeout=DEADLINE_S)
        if self.failure:
            raise self.failure
        return self._insert_many(documents, ordered=ordered)


@pytest.fixture
def collection(db: Database[Document]) -> Collection[Document]:
    return db["things"]


@pytest.fixture
def gate(collection: Collection[Document]) -> Iterator[Gate]:
    gate = Gate(collection)
    with mock.patch.object(collection, "insert_many", gate.insert_many):
        yield gate


Insert = Callable[..., "Future[None]"]


@pytest.fixture
def insert(collection: Collection[Document]) -> Iterator[Insert]:
    """Insert from a thread of its own, and return once the document waits or is sent."""
    inserts = SharedInserts(collection)

    def insert(key: Any, **fields: Any) -> "Future[None]":
        before, sending = waiting(inserts), inserts._shared._calling
        future = threads.submit(inserts.insert, {"_id": key, **fields})
        while sending and waiting(inserts) == before and not future.done():
            pass
        return future

    with ThreadPoolExecutor(64) as threads:
        yield insert


def waiting(inserts: SharedInserts) -> int:
    return len(inserts._shared._next.items) if inserts._shared._next else 0


def outcome(future: "Future[None]") -> type | None:
    error = future.exception(DEADLINE_S)
    return None if error is None else type(error)


def test_a_lone_document_is_sent_at_once_by_one_command(
    collection: Collection[Document], gate: Gate, insert: Insert
) -> None:
    gate.opened.release()
    assert outcome(insert("a")) is None
    assert gate.batches == [["a"]]
    assert list(collection.find()) == [{"_id": "a"}]


def test_what_arrives_while_a_batch_is_on_its_way_forms_the_next(
    gate: Gate, insert: Insert
) -> None:
    futures = [insert(0)]
    assert gate.arrived.acquire(timeout=DEADLINE_S)
    futures += [insert(key) for key in range(1, 50)]
    gate.opened.release(2)
    assert [outcome(future) for future in futures] == [None] * 50
    assert gate.batches == [[0], list(range(1, 50))]


def test_each_gets_its_own_verdict_and_the_first_copy_wins_inside_a_batch_too(
    collection: Collection[Document], gate: Gate, insert: Insert
) -> None:
    first = insert("lead")
    assert gate.arrived.acquire(timeout=DEADLINE_S)
    futures = [insert(key, n=n) for n, key in enumerate(["a", "b", "a", "lead", "c", "b"])]
    gate.opened.release(2)
    assert outcome(first) is None
    duplicate = DuplicateKeyError
    assert [outcome(future) for future in futures] == [
        None,
        None,
        duplicate,
        duplicate,
        None,
        duplicate,
    ]
    kept = {document["_id"]: document.get("n") for document in collection.find()}
    assert kept == {"lead": None, "a": 0, "b": 1, "c": 4}


@pytest.mark.parametrize("failure", [NetworkTimeout("away"), ZeroDivisionError("a bug")])
def test_when_a_batch_fails_none_of_it_is_taken_for_stored_and_the_next_is_sent(
    collection: Collection[Document], gate: Gate, insert: Insert, failure: Exception
) -> None:
    first = insert("lead")
    assert gate.arrived.acquire(timeout=DEADLINE_S)
    failing = [insert(key) for key in "abc"]
    gate.opened.release()
    assert outcome(first) is None
    assert gate.arrived.acquire(timeout=DEADLINE_S)
    gate.failure = failure
    after = insert("after")
    gate.opened.release()
    assert all(outcome(future) in (type(failure), PyMongoError) for future in failing)
    gate.failure = None
    gate.opened.release()
    assert outcome(after) is None
    assert sorted(collection.distinct("_id")) == ["after", "lead"]


def test_a_batch_that_is_not_known_to_be_on_disk_is_not_taken_for_stored(
    collection: Collection[Document],
) -> None:
    result = {
        "writeErrors": [{"index": 0, "code": 121, "errmsg": "does not pass"}],
        "writeConcernErrors": [{"code": 64, "errmsg": "waiting for replication timed out"}],
    }
    with mock.patch.object(collection, "insert_many", side_effect=BulkWriteError(result)):
        verdicts = SharedInserts(collection)._send([{"_id": key} for key in "ab"])
    assert [type(verdict) for verdict in verdicts] == [OperationFailure, WTimeoutError]


def test_beyond_the_bound_one_is_turned_away_at_once(
    gate: Gate, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "MAX_WAITING", 2)
    futures = [insert(0)]
    assert gate.arrived.acquire(timeout=DEADLINE_S)
    futures += [insert(1), insert(2)]
    assert outcome(insert(3)) is Overloaded
    gate.opened.release(2)
    assert [outcome(future) for future in futures] == [None, None, None]


def test_many_threads_insert_each_document_once(
    db: Database[Document], collection: Collection[Document]
) -> None:
    inserts = SharedInserts(collection)
    with ThreadPoolExecutor(32) as threads:
        before = db.command("serverStatus")["metrics"]["commands"]["insert"]["total"]
        futures = [threads.submit(inserts.insert, {"_id": n % 1500}) for n in range(2000)]
        outcomes = [outcome(future) for future in futures]
    commands = db.command("serverStatus")["metrics"]["commands"]["insert"]["total"] - before
    assert (outcomes.count(None), outcomes.count(DuplicateKeyError)) == (1500, 500)
    assert collection.count_documents({}) == 1500
    assert commands < 1000
