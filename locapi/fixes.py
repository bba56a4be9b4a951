"""The raw fixes: conclude what a fix's time means, store its first copy, say which it was."""

import math
import time
from collections.abc import Callable
from datetime import MAXYEAR, UTC, datetime
from typing import Any, Literal, NamedTuple

import pymongo
from bson import Timestamp
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern

from locapi import greenlets, hints, keys, mongo, schema, utc, watermarks
from locapi.commits import SharedInserts
from locapi.errors import DatabaseUnavailable, InvalidFix
from locapi.layout import BY_USER_AND_TIME
from locapi.metrics import Metrics
from locapi.mongo import FIXES, MINUTES, Document
from locapi.schema import Fix
from locapi.utc import Instant
from locapi.watermarks import BY_SERVER, HORIZON_TRUST_S, MAX_AHEAD

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
DEADLINE_S = 8

_NOT_A_REPLICA_SET = 123

Status = Literal["stored", "duplicate"]


class Receipt(NamedTuple):
    """What became of a fix, and what the copy that is kept was taken to mean."""

    status: Status
    fix_time: datetime
    tz: str


class FixStore:
    """Where raw fixes are kept, each once; may be shared by threads."""

    def __init__(
        self,
        database: Database[Document],
        now: Callable[[], datetime] = utc.now,
        metrics: Metrics | None = None,
    ) -> None:
        self._database = database
        self._prepared = False
        self._fixes = database[FIXES]
        self._inserts = SharedInserts(self._fixes, metrics)
        self._minutes = database[MINUTES]
        self._has_elections = True  # until the database says otherwise
        self._now = now
        self._known_horizon: Timestamp | None = None
        self._horizon_read_at = -math.inf

    def put(self, fix: Fix) -> Receipt:
        """Store a fix unless its first copy is there, and return once that is on disk.

        Raises InvalidFix for a time out of range, DatabaseUnavailable or Overloaded
        when it is not known to be on disk; then the same fix may be put again.
        """
        with mongo.translated_errors(), pymongo.timeout(DEADLINE_S):
            self._prepare()
            readings = readings_of(fix)
            if copy := self._old_copy(fix, readings):
                return copy
            instant = self._conclude(fix, readings)
            document = document_of(fix, instant)
            try:
                self._inserts.insert(document)
            except DuplicateKeyError:
                return self._first_copy(document["_id"])
            return Receipt("stored", instant.fix_time, instant.tz)

    def _prepare(self) -> None:
        # Not when the API starts: the database may come minutes later.
        if not self._prepared:
            greenlets.aside(mongo.prepare)(self._database, patient=False)
            self._prepared = True

    def _first_copy(self, fix_id: str) -> Receipt:
        first = self._raw_copy(fix_id)
        if first is None:  # a majority does not have it yet, or it has just been deleted
            raise DatabaseUnavailable("the first copy of a fix is not known to be on disk")
        return first

    @greenlets.aside
    def _raw_copy(self, fix_id: str) -> Receipt | None:
        raw = self._fixes.find_one({"_id": fix_id}, {"fix_time": 1, "tz": 1})
        return Receipt("duplicate", raw["fix_time"], raw["tz"]) if raw else None

    def _old_copy(self, fix: Fix, readings: list[Instant]) -> Receipt | None:
        """Look for the first copy of a fix whose raw fix can have been pruned."""
        horizon = self._horizon()
        old = any(watermarks.may_be_pruned(each.fix_time, horizon) for each in readings)
        # A repeat of an ambiguous time can be read otherwise than its first copy was, and would
        # then be counted. So there it does not matter that the known horizon may be an old one.
        if not old and len(readings) == 1:
            return None
        # The raw fix before the minutes: a prune deletes it only after its minute remembers it.
        if raw := self._raw_copy(keys.fix_id(fix.user_id, fix.wall)):
            return raw
        for reading in readings:
            if self._counted(fix.user_id, reading, ambiguous=len(readings) > 1):
                return Receipt("duplicate", reading.fix_time, reading.tz)
        return None

    @greenlets.aside
    def _counted(self, user_id: str, reading: Instant, *, ambiguous: bool) -> bool:
        minute_id = keys.minute_id(user_id, reading.fix_time)
        counted = {"_id": minute_id, "seen": keys.mark(reading.fix_time, reading.utc_offset)}
        # Where it has but one reading, a repeat that slips in is found in `seen` by the roll-up.
        if ambiguous:
            return self._last(self._minutes, counted, {"_id": 1}) is not None
        return self._minutes.find_one(counted, {"_id": 1}) is not None

    def _horizon(self) -> Timestamp | None:
        now = time.monotonic()
        if now - self._horizon_read_at > HORIZON_TRUST_S:
            read = greenlets.aside(watermarks.read)
            self._known_horizon = read(self._database, watermarks.PRUNED)
            self._horizon_read_at = now  # the time before the read, and only once it succeeded
        return self._known_horizon

    def _conclude(self, fix: Fix, readings: list[Instant]) -> Instant:
        instant, *second = readings
        if fix.fix_time is not None:
            instant = next(each for each in readings if each.fix_time == fix.fix_time)
        elif second and self._has_later(fix.user_id, instant.fix_time):
            instant = second[0]
        if not EARLIEST <= instant.fix_time <= self._now() + MAX_AHEAD:
            raise out_of_range(instant.fix_time.year, fix)
        return instant

    @greenlets.aside
    def _has_later(self, user_id: str, instant: datetime) -> bool:
        """Tell whether the user has a fix later than `instant`, raw or already in a minute."""
        later = keys.between(user_id, {"$gt": instant})
        if self._last(self._fixes, later, {"_id": 1}, hint=BY_USER_AND_TIME):
            return True
        newest = self._last(
            self._minutes,
            {"_id": keys.of_user(user_id)},
            {"minute": 1, "seen": 1},
            sort=[("_id", -1)],
        )
        return newest is not None and any(
            keys.seen_time(newest["minute"], mark) > instant for mark in newest["seen"]
        )

    def _last(self, collection: Collection[Document], *query: Any, **order: Any) -> Document | None:
        """Find one as of the last write that was answered, whichever process answered it.

        A majority read from a primary that was elected just now may lack that one.
        """
        if self._has_elections:
            try:
                sure = collection.with_options(read_concern=ReadConcern("linearizable"))
                return sure.find_one(*query, **order)
            except OperationFailure as error:
                if error.code != _NOT_A_REPLICA_SET:
                    raise
                self._has_elections = False
        return collection.find_one(*query, **order)


def readings_of(fix: Fix) -> list[Instant]:
    """Return what a fix's local time can mean, earliest first; raises InvalidFix."""
    if not EARLIEST.year - 1 <= fix.wall.year < MAXYEAR:
        raise out_of_range(fix.wall.year, fix)  # before it overflows
    readings = utc.readings(fix.wall, fix.lat, fix.long)
    if fix.fix_time is None or any(each.fix_time == fix.fix_time for each in readings):
        return readings
    offset = fix.wall.replace(tzinfo=UTC) - fix.fix_time
    return [*readings, Instant(fix.fix_time, readings[0].tz, round(offset.total_seconds()))]


def document_of(fix: Fix, instant: Instant) -> Document:
    """Return the raw fix as it is stored, but for `received_at`, which mongod fills in."""
    return {
        "_id": keys.fix_id(fix.user_id, fix.wall),
        "user_id": fix.user_id,
        "local_time": fix.local_time,
        "lat": fix.lat,
        "long": fix.long,
        "accuracy": fix.accuracy,
        "speed": fix.speed,
        "fix_time": instant.fix_time,
        "tz": instant.tz,
        "utc_offset": instant.utc_offset,
        "received_at": BY_SERVER,
        "slice": keys.slice_of(fix.user_id),
        # What the roll-up groups by and remembers, made here once rather than at each reading.
        "minute_id": keys.minute_id(fix.user_id, instant.fix_time),
        "mark": keys.mark(instant.fix_time, instant.utc_offset),
    }


def out_of_range(year: int, fix: Fix) -> InvalidFix:
    """Return the error for an instant that no fix can be of."""
    example = hints.A_FIX["timestamp"]
    wanted = f"must mean an instant from 1970-01-01 UTC to one day from now, such as {example}"
    advice = hints.out_of_range(year, EARLIEST.year)
    return schema.broken({"timestamp": [hints.told(wanted, fix.local_time, advice)]})
