"""What the database holds: one table of collections, and how each is stored, found and parted.

The same table serves the embedded mongod, a replica set and a sharded cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import ASCENDING, IndexModel

FIXES = "fixes"
MINUTES = "minutes"
WATERMARKS = "watermarks"
ERASURES = "erasures"
TOKENS = "tokens"

Index = str | list[tuple[str, int]]  # as a hint names it
BY_USER_AND_TIME: list[tuple[str, int]] = [("user_id", ASCENDING), ("fix_time", ASCENDING)]


_NUMBER = ["double", "int", "long"]
_WHOLE = ["int", "long"]
_AVERAGED = ("lat", "long", "accuracy", "speed")


def _document(**kinds: str | list[str]) -> dict[str, Any]:
    """Return the validator of documents that have these fields, beside others, of these types."""
    properties = {name: {"bsonType": kind} for name, kind in kinds.items()}
    return {
        "$jsonSchema": {"bsonType": "object", "required": list(kinds), "properties": properties}
    }


@dataclass(frozen=True)
class Collection:
    """A collection as it should be.

    A clustered one is stored in the order of its key, so that exports read on. Without
    a shard key all of it lives on one shard. A validator asks only for what every
    version has written: processes of two versions run side by side at an upgrade.
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
            # A user's newest fix decides which pass of a repeated hour a wall time means.
            IndexModel(BY_USER_AND_TIME),
        ),
        validator=_document(
            _id="string",
            user_id="string",
            local_time="string",
            **dict.fromkeys(_AVERAGED, _NUMBER),
            fix_time="date",
            tz="string",
            utc_offset="int",
            received_at="timestamp",
            minute_id="string",
            mark="int",
        ),
        # Exactly `_id`: else each shard alone would see that it is unique. By ranges: so a
        # user's fixes stay together. docs/SCALING.md has the whole reasoning.
        shard_key={"_id": 1},
    ),
    Collection(
        MINUTES,
        # The roll-up finds the few minutes that still miss a fix; sparse: the rest costs nothing.
        indexes=(IndexModel([("missing", ASCENDING)], sparse=True),),
        clustered=True,
        validator=_document(
            _id="string",
            user_id="string",
            minute="date",
            count=_WHOLE,
            seen="array",
            west=_WHOLE,
            long_min=_NUMBER,
            long_max=_NUMBER,
            **{f"{name}_sum": _NUMBER for name in _AVERAGED},
            **dict.fromkeys(_AVERAGED, _NUMBER),
        ),
        shard_key={"_id": 1},
    ),
    Collection(WATERMARKS),
    Collection(ERASURES),
    # Those of one user are listed, and go with the user.
    Collection(TOKENS, indexes=(IndexModel([("user_id", ASCENDING)]),)),
)
