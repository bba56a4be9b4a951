"""The collections of the database: one table of how each is stored, indexed, checked and sharded.

The same table serves the embedded mongod, a replica set and a sharded cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_type_hints

from bson import Timestamp
from pymongo import ASCENDING, IndexModel

from locapi.storage.documents import (
    ERASURES,
    FIXES,
    MINUTES,
    QUARANTINE,
    REJECTS,
    TOKENS,
    TOMBSTONES,
    WATERMARKS,
    Minute,
    RawFix,
)

Index = str | list[tuple[str, int]]  # as a hint names it
BY_USER_AND_TIME: list[tuple[str, int]] = [("user_id", ASCENDING), ("fix_time", ASCENDING)]

_BSON_TYPES: dict[Any, str | list[str]] = {
    str: "string",
    float: ["double", "int", "long"],
    float | None: ["double", "int", "long", "null"],
    int: ["int", "long"],
    datetime: "date",
    Timestamp: "timestamp",
    list[int]: "array",
}


def _validator(document: Any) -> dict[str, Any]:
    """Return the validator of a TypedDict; it allows further fields."""
    properties = {
        name: {"bsonType": _BSON_TYPES[kind]} for name, kind in get_type_hints(document).items()
    }
    required = [name for name in properties if name in document.__required_keys__]
    return {"$jsonSchema": {"bsonType": "object", "required": required, "properties": properties}}


@dataclass(frozen=True)
class Collection:
    """A collection as it should be.

    A clustered collection is stored in the order of its `_id`, so that exports read
    sequentially. Without a shard key the whole collection stays on one shard.
    """

    name: str
    indexes: Sequence[IndexModel] = ()
    clustered: bool = False
    validator: dict[str, Any] | None = None
    shard_key: dict[str, int] | None = None


COLLECTIONS = (
    Collection(
        FIXES,
        indexes=(
            # A roll-up reads what was received of its slices since their watermarks.
            IndexModel([("slice", ASCENDING), ("received_at", ASCENDING)]),
            # A user's newest fix decides which reading of a repeated hour is meant.
            IndexModel(BY_USER_AND_TIME),
        ),
        validator=_validator(RawFix),
        # Exactly `_id`, or each shard would check alone that it is unique. By ranges, so that
        # a user's fixes stay together. docs/SCALING.md gives all reasons.
        shard_key={"_id": 1},
    ),
    Collection(
        MINUTES,
        indexes=(
            # The roll-up finds the few minutes with missing fixes; sparse, so others cost nothing.
            IndexModel([("missing", ASCENDING)], sparse=True),
            # A reader finds what changed since it last read.
            IndexModel([("changed_at", ASCENDING)]),
        ),
        clustered=True,
        validator=_validator(Minute),
        shard_key={"_id": 1},
    ),
    Collection(WATERMARKS),
    Collection(ERASURES),
    Collection(TOMBSTONES),
    Collection(QUARANTINE),
    # To list and to erase the tokens of one user.
    Collection(TOKENS, indexes=(IndexModel([("user_id", ASCENDING)]),)),
    # MongoDB deletes a reject when it expires.
    Collection(REJECTS, indexes=(IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0),)),
)
