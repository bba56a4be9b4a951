"""Requests in progress share a commit, and each gets its own outcome."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, NetworkTimeout, OperationFailure

from locapi.concurrency import coalescing
from locapi.errors import Overloaded
from locapi.ingest.group_commit import GroupCommit
from locapi.monitoring.metrics import Metrics
from locapi.storage.documents import Document
from tests.support.insert_gate import InsertGate, gated
from tests.support.processes import DEADLINE_S, until


class Counts(Metrics):
    waits = 0

    def waiting(self, fixes: int) -> None:
        self.waits = fixes


@pytest.fixture
def collection(db: Database[Document]) -> Collection[Document]:
    return db["things"]


@pytest.fixture
def gate(collection: Collection[Document]) -> Iterator[InsertGate]:
    with gated(collection) as gate:
        yield gate


Outcomes = list[OperationFailure | None]
Insert = Callable[..., "Future[Outcomes]"]


@pytest.fixture
def insert(collection: Collection[Document], gate: InsertGate) -> Iterator[Insert]:
    """Insert from a thread of its own, and return once the document waits or is sent."""
    counts = Counts()
    commits = GroupCommit(collection, counts)

    def insert(key: Any, **fields: Any) -> "Future[Outcomes]":
        before = counts.waits, len(gate.batches)
        future = threads.submit(commits.insert, [{"_id": key, **fields}])
        until(lambda: future.done() or before != (counts.waits, len(gate.batches)))
        return future

    with ThreadPoolExecutor(64) as threads:
        yield insert


def outcome(future: "Future[Outcomes]") -> type | None:
    """Return the kind of the error that a document met, its own or one of all."""
    error = future.exception(DEADLINE_S) or future.result()[0]
    return None if error is None else type(error)


def test_documents_that_arrive_during_a_commit_share_the_next(
    collection: Collection[Document], gate: InsertGate, insert: Insert
) -> None:
    futures = [insert(0)]
    futures += [insert(key) for key in range(1, 50)]
    gate.open(2)
    assert [outcome(future) for future in futures] == [None] * 50
    assert gate.batches == [[0], list(range(1, 50))]
    assert collection.count_documents({}) == 50


def test_each_document_gets_its_own_outcome_and_the_first_of_an_id_is_kept(
    collection: Collection[Document], gate: InsertGate, insert: Insert
) -> None:
    collection.database.create_collection(
        collection.name, validator={"n": {"$ne": "refused"}}, check_exists=False
    )
    futures = [insert("lead")]
    sent = [("a", 0), ("b", 1), ("a", 2), ("lead", 3), ("x", "refused"), ("c", 4), ("b", 5)]
    futures += [insert(key, n=n) for key, n in sent]
    gate.open(2)
    kinds = [outcome(future) for future in futures]
    duplicate = DuplicateKeyError
    assert kinds[:5] == [None, None, None, duplicate, duplicate]
    assert kinds[5:] == [OperationFailure, None, duplicate]
    kept = {document["_id"]: document.get("n") for document in collection.find()}
    assert kept == {"lead": None, "a": 0, "b": 1, "c": 4}


def test_several_documents_of_one_request_get_an_outcome_each(
    collection: Collection[Document],
) -> None:
    outcomes = GroupCommit(collection).insert([{"_id": key} for key in "abab"])
    assert [each and type(each) for each in outcomes] == [
        None,
        None,
        DuplicateKeyError,
        DuplicateKeyError,
    ]


@pytest.mark.parametrize("failure", [NetworkTimeout("away"), ZeroDivisionError("a bug")])
def test_a_commit_that_fails_stores_nothing_and_the_next_one_is_sent(
    collection: Collection[Document], gate: InsertGate, insert: Insert, failure: Exception
) -> None:
    gate.failure = failure
    failing = [insert(0)]
    gate.wait_for_batch()
    failing += [insert(key) for key in (1, 2)]
    gate.open()
    gate.wait_for_batch()
    after = insert("after")
    gate.open()
    assert [outcome(future) for future in failing] == [type(failure)] * 3
    gate.wait_for_batch()
    gate.failure = None
    gate.open()
    assert outcome(after) is None
    assert collection.distinct("_id") == ["after"]


def test_too_many_waiting_requests_are_rejected_at_once(
    gate: InsertGate, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coalescing, "MAX_WAITING", 2)
    futures = [insert(key) for key in range(3)]
    assert outcome(insert(3)) is Overloaded
    gate.open(2)
    assert [outcome(future) for future in futures] == [None, None, None]


def test_many_threads_insert_each_document_once(collection: Collection[Document]) -> None:
    commits = GroupCommit(collection)
    with ThreadPoolExecutor(32) as threads:
        futures = [threads.submit(commits.insert, [{"_id": n % 1500}]) for n in range(2000)]
        outcomes = [outcome(future) for future in futures]
    assert (outcomes.count(None), outcomes.count(DuplicateKeyError)) == (1500, 500)
    assert collection.count_documents({}) == 1500
