"""A client that crashes at a given command, and a database with a history to crash in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import RLock

from bson import Timestamp
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from locapi.fixes.validation import Fix
from locapi.ingest.store import FixStore
from locapi.rollup import fold, prune
from locapi.rollup.verify import Report, verify
from locapi.storage.documents import Document
from tests.support.fixes import fold_alone
from tests.support.reference import Key, Reference, Sent, differences

NOW = datetime(2018, 1, 1, tzinfo=UTC)
COLLECTIONS = ("fixes", "minutes", "watermarks", "erasures")

Operation = Callable[[Database[Document]], object]


class Crash(BaseException):
    """The end of a process, which no error handler catches."""


class Crasher(CommandListener):
    """Crash a client before it sends a given command, or before it gets the response."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._end: Callable[[], object] | None = None
        self._at, self._after = 0, False
        self._lock = RLock()  # an operation may send commands from several threads

    @contextmanager
    def at(self, command: int, *, after: bool, end: Callable[[], object]) -> Iterator[None]:
        """Call `end` at this command and at all later ones, one call at a time."""
        self.sent, self._at, self._after, self._end = [], command, after, end
        try:
            yield
        finally:
            self._end = None

    @property
    def reached(self) -> bool:
        return len(self.sent) > self._at

    def started(self, event: CommandStartedEvent) -> None:
        with self._lock:
            self.sent.append(event.command_name)
            # A dead process sends nothing more, not even to clean up.
            if self._end and len(self.sent) - 1 >= self._at + self._after:
                self._end()

    def succeeded(self, event: CommandSucceededEvent) -> None:
        with self._lock:
            if self._end and self._after and len(self.sent) - 1 == self._at:
                self._end()

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def crash() -> None:
    raise Crash


@contextmanager
def crashing(uri: str, db: Database[Document]) -> Iterator[tuple[Database[Document], Crasher]]:
    """Yield the same database through a client that can crash."""
    crasher = Crasher()
    with MongoClient[Document](uri, tz_aware=True, event_listeners=[crasher]) as client:
        yield client.get_database(db.name, None, None, db.write_concern, db.read_concern), crasher


def fix(time: str, user_id: str = "a", lat: float = 40.0) -> Sent:
    return Sent(user_id, datetime.fromisoformat(f"2017-{time}"), "America/New_York", lat, -74.0)


def as_fix(sent: Sent) -> Fix:
    user_id, wall = sent.key
    numbers = sent.lat, sent.long, sent.accuracy, sent.speed
    return Fix(user_id, str(sent.wall), wall, *numbers, sent.instant)


def fix_id(key: Key) -> str:
    user_id, wall = key
    return f"{user_id}\t{wall.isoformat(' ', 'milliseconds')}"


def received_earlier(db: Database[Document], *collections: str) -> None:
    """Move what the database received, and watermarks, an hour into the past."""
    for name in collections:
        for document in db[name].find({"received_at": {"$exists": True}}):
            earlier: Document = {"received_at": _earlier(document["received_at"])}
            db[name].update_one({"_id": document["_id"]}, {"$set": earlier})
        for document in db[name].find({"slices": {"$exists": True}}):
            earlier = {"slices": [_earlier(each) for each in document["slices"]]}
            db[name].update_one({"_id": document["_id"]}, {"$set": earlier})


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
    """Fixes that are pruned, folded two hours ago, new, and noted as missing by their minute."""

    documents: dict[str, list[Document]]
    reference: Reference

    @classmethod
    def play(cls, db: Database[Document]) -> "Scene":
        reference = Reference()
        _put(db, reference, PRUNED)
        prune.prune(db, timedelta(0))
        reference.prune(list(reference.raw))
        _put(db, reference, FOLDED)
        fold.fold_new_fixes(db)
        for _ in range(2):
            received_earlier(db, "fixes")
        _put(db, reference, NEW)
        counted, missing = (fix_id(sent.key) for sent in NEW[:2])
        fold_alone(db, counted)
        fold_alone(db, counted, missing)
        assert db.minutes.find_one({"missing": {"$exists": True}})
        return cls({name: list(db[name].find()) for name in COLLECTIONS}, reference)

    def set(self, db: Database[Document]) -> Reference:
        """Store this scene in `db`, and return its reference."""
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
    """Prune in the reference the raw fixes that are gone."""
    left = {document["_id"] for document in db.fixes.find({}, {"_id": 1})}
    reference.prune([key for key in reference.raw if fix_id(key) not in left])


def assert_all_is_well(db: Database[Document], reference: Reference) -> None:
    """Compare everything with the reference, and check that pruned fixes are duplicates."""
    fold.fold_new_fixes(db)
    found = differences(db.minutes.find(), reference.minutes())
    assert not found, found
    raw = {document["_id"] for document in db.fixes.find()} ^ set(map(fix_id, reference.raw))
    assert not raw, raw
    notes = list(db.erasures.find())
    assert not notes, notes
    drifts = list(verify(db, Report()))
    assert not drifts, drifts
    store = FixStore(db, lambda: NOW)
    raw_fixes = list(reference.raw.values())
    for counted in reference.counted:
        if counted not in raw_fixes:
            assert store.put(as_fix(counted.sent)).status == "duplicate", counted
