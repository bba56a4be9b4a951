"""A client that ends at a given command, and a database in the middle of its life to end in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from bson import Timestamp
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from locapi import prune, rollup
from locapi.fixes import FixStore
from locapi.mongo import Document
from locapi.schema import Fix
from locapi.verify import Report, verify
from tests.reference import Key, Reference, Sent, differences

NOW = datetime(2018, 1, 1, tzinfo=UTC)
COLLECTIONS = ("fixes", "minutes", "watermarks", "erasures")

Operation = Callable[[Database[Document]], object]


class Crash(BaseException):
    """The end of a process, which no handler of errors sees."""


class Crasher(CommandListener):
    """End a client before it sends a given command, or before it sees the answer to it."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._end: Callable[[], object] | None = None
        self._at, self._after = 0, False

    @contextmanager
    def at(self, command: int, *, after: bool, end: Callable[[], object]) -> Iterator[None]:
        """Call `end` at the command of that number and at all that follow."""
        self.sent, self._at, self._after, self._end = [], command, after, end
        try:
            yield
        finally:
            self._end = None

    @property
    def reached(self) -> bool:
        return len(self.sent) > self._at

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(event.command_name)
        # The dead send nothing more, not even to clean up.
        if self._end and len(self.sent) - 1 >= self._at + self._after:
            self._end()

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if self._end and self._after and len(self.sent) - 1 == self._at:
            self._end()

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let prunes not wait for the API's processes: none of them is putting a fix."""
    monkeypatch.setattr(prune, "HORIZON_TRUST_S", 0.0)


def crash() -> None:
    raise Crash


@contextmanager
def crashing(uri: str, db: Database[Document]) -> Iterator[tuple[Database[Document], Crasher]]:
    """Yield the same database through a client that can be ended."""
    crasher = Crasher()
    with MongoClient[Document](uri, tz_aware=True, event_listeners=[crasher]) as client:
        yield client.get_database(db.name, None, None, db.write_concern, db.read_concern), crasher


def fix(time: str, user_id: str = "a", lat: float = 40.0) -> Sent:
    return Sent(user_id, datetime.fromisoformat(f"2017-{time}"), "America/New_York", lat, -74.0)


def as_fix(sent: Sent) -> Fix:
    user_id, wall = sent.key
    return Fix(user_id, str(sent.wall), wall, sent.lat, sent.long, sent.accuracy, sent.speed)


def fix_id(key: Key) -> str:
    user_id, wall = key
    return f"{user_id}\t{wall.isoformat(' ', 'milliseconds')}"


def received_earlier(db: Database[Document], *collections: str) -> None:
    """Let what the database received, or what it says of that, be an hour older."""
    times: Document
    for name in collections:
        for document in db[name].find({"received_at": {"$exists": True}}):
            times = {"received_at": _earlier(document["received_at"])}
            if "slices" in document:
                times["slices"] = [_earlier(each) for each in document["slices"]]
            db[name].update_one({"_id": document["_id"]}, {"$set": times})


def _earlier(time: Timestamp) -> Timestamp:
    return Timestamp(max(0, time.time - 3600), time.inc)


PRUNED = [
    fix("01-01 13:05:01", lat=40.0),
    fix("01-01 13:05:02", lat=40.1),
    fix("11-05 01:30:00"),
    fix("11-05 03:00:00"),
    fix("01-01 13:05:01", "b"),
]
FOLDED = [
    fix("01-01 13:05:03", lat=40.2),
    fix("01-01 13:06:01", lat=40.3),
    fix("01-01 13:07:01", "b"),
]
NEW = [
    fix("01-01 13:05:04", lat=40.4),
    fix("01-01 13:05:05", lat=40.5),
    fix("01-01 13:06:02"),
    fix("01-01 13:08:01"),
]


@dataclass(frozen=True)
class Scene:
    """Fixes pruned, folded two hours ago, new, and one that its minute notes as missing."""

    documents: dict[str, list[Document]]
    reference: Reference

    @classmethod
    def play(cls, db: Database[Document]) -> "Scene":
        reference = Reference()
        _put(db, reference, PRUNED)
        prune.prune(db, timedelta(0))
        reference.prune(list(reference.raw))
        _put(db, reference, FOLDED)
        rollup.roll_up(db)
        for _ in range(2):
            received_earlier(db, "fixes")
        _put(db, reference, NEW)
        counted, missing = (fix_id(sent.key) for sent in NEW[:2])
        rollup._fold(db, {"_id": counted})
        rollup._fold(db, {"_id": {"$in": [counted, missing]}})
        assert db.minutes.find_one({"missing": {"$exists": True}})
        return cls({name: list(db[name].find()) for name in COLLECTIONS}, reference)

    def set(self, db: Database[Document]) -> Reference:
        """Bring this scene about in `db`, and return its reference."""
        for name, documents in self.documents.items():
            db[name].delete_many({})
            if documents:
                db[name].insert_many(documents)
        return deepcopy(self.reference)


def _put(db: Database[Document], reference: Reference, fixes: list[Sent]) -> None:
    store = FixStore(db, lambda: NOW)
    for sent in fixes:
        assert store.put(as_fix(sent)).status == reference.put(sent) == "stored"


def forget_pruned(db: Database[Document], reference: Reference) -> None:
    """Tell the reference which raw fixes are gone."""
    left = {document["_id"] for document in db.fixes.find({}, {"_id": 1})}
    reference.prune([key for key in reference.raw if fix_id(key) not in left])


def see_all_is_well(db: Database[Document], reference: Reference) -> None:
    """Compare all there is, and see that what was pruned is still known."""
    rollup.roll_up(db)
    found = differences(db.minutes.find(), reference.minutes())
    assert not found, found
    raw = {document["_id"] for document in db.fixes.find()} ^ set(map(fix_id, reference.raw))
    assert not raw, raw
    notes = list(db.erasures.find())
    assert not notes, notes
    drifts = list(verify(db, Report()))
    assert not drifts, drifts
    store = FixStore(db, lambda: NOW)
    for counted in reference.counted:
        if counted.sent.key not in reference.raw:
            assert store.put(as_fix(counted.sent)).status == "duplicate", counted
