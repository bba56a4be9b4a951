"""The documents of the database: which fields they have, in which units.

A `datetime` is a UTC instant, to the millisecond. A `Timestamp` is the database's own clock.
Positions are degrees of WGS 84, accuracy is metres, speed is metres a second. `locapi.fixes.ids`
makes and reads the ids.
"""

from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict, cast

from bson import ObjectId, Timestamp
from pymongo.collection import Collection
from pymongo.database import Database

from locapi.fixes.averages import State

FIXES = "fixes"
MINUTES = "minutes"
WATERMARKS = "watermarks"
ERASURES = "erasures"
TOMBSTONES = "tombstones"
QUARANTINE = "quarantine"
TOKENS = "tokens"
REJECTS = "rejects"

Document = dict[str, Any]  # any of them, or a part of one


Reads = Literal["own", "all"]  # whose minutes a token may read


class RawFix(TypedDict):
    """One fix as it was sent, and what was concluded from it."""

    _id: str  # user and local time
    user_id: str
    local_time: str  # the `timestamp` as sent
    lat: float
    long: float
    accuracy: float | None
    speed: float | None
    fix_time: datetime
    tz: str  # IANA zone of the position
    utc_offset: int  # seconds
    received_at: Timestamp  # filled in by mongod
    slice: int  # of 128, by a hash of the user
    minute_id: str  # of the minute that holds `fix_time`
    seen_code: int  # of this fix in that minute's `seen`
    accuracy_unknown: NotRequired[int]  # 1 if the accuracy is null
    speed_unknown: NotRequired[int]  # 1 if the speed is null


class Minute(State):
    """One user's fixes in one UTC minute: averages, and the state from which they are exact."""

    _id: str  # user and minute
    user_id: str
    minute: datetime  # when it starts
    lat: float
    long: float
    accuracy: float | None  # null if it is unknown for every fix
    speed: float | None
    seen: list[int]  # the seen codes of the fixes that are counted
    changed_at: datetime  # the mark of the last change: `locapi.storage.changes`
    missing: NotRequired[list[int]]  # those of fixes that a fold met and could not count yet


class RollupWatermark(TypedDict):
    """Up to when each slice was rolled up: all fixes received earlier are in their minutes."""

    _id: Literal["rollup"]
    slices: list[Timestamp]
    duration_s: NotRequired[float]  # of the last roll-up


class PruneWatermark(TypedDict):
    """The horizon: raw fixes received earlier may be gone."""

    _id: Literal["prune"]
    received_at: Timestamp
    finished_at: NotRequired[datetime]
    deleted: NotRequired[int]  # by the last prune


class EraseWatermark(TypedDict):
    """When the last erasure of any user began."""

    _id: Literal["erase"]
    received_at: Timestamp


class Changes(TypedDict):
    """How far the marks of changes have come; a document of the watermarks' collection."""

    _id: Literal["changes"]
    lineage: ObjectId  # of this database
    last: datetime
    open: list[datetime]  # changes with these marks may still be under way
    forgotten: NotRequired[datetime]  # tombstones up to this mark are gone


class Tombstone(TypedDict):
    """A user who was erased, so that readers of changes can remove the user's minutes, too."""

    _id: str  # the user
    changed_at: datetime


class Lease(TypedDict):
    """One roll-up's share in the work; it ends by itself unless it is renewed."""

    id: ObjectId
    until: datetime
    length_ms: int


class Leases(TypedDict):
    """The leases of all roll-ups; a document of the watermarks' collection."""

    _id: Literal["leases"]
    leases: list[Lease]


class Erasure(TypedDict):
    """An erasure that has begun: what was received of the user before `received_at` goes."""

    _id: str  # the user
    received_at: Timestamp
    by: ObjectId  # distinguishes two erasures of one user


class Quarantined(TypedDict):
    """A minute that cannot be folded; roll-ups and prunes leave out its raw fixes."""

    _id: str  # the minute
    minute_id: Any  # as its raw fixes have it, which may be malformed
    user_id: str
    reason: str
    since: datetime


class Token(TypedDict):
    """An API token, of which only a hash is stored."""

    _id: str  # the part of the token that is no secret
    user_id: str
    secret_sha256: bytes
    reads: NotRequired[Reads | None]  # None: it may only send
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def raw_fixes(database: Database[Document]) -> Collection[RawFix]:
    """Return the collection of raw fixes, for reading whole documents."""
    return cast("Collection[RawFix]", database[FIXES])


def minutes(database: Database[Document]) -> Collection[Minute]:
    """Return the collection of minutes, for reading whole documents."""
    return cast("Collection[Minute]", database[MINUTES])


def quarantined(database: Database[Document]) -> Collection[Quarantined]:
    """Return the collection of minutes in quarantine."""
    return cast("Collection[Quarantined]", database[QUARANTINE])


def tokens(database: Database[Document]) -> Collection[Token]:
    """Return the collection of API tokens."""
    return cast("Collection[Token]", database[TOKENS])
