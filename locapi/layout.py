"""What the database holds: one table of collections, and how each is stored, found and parted.

The same table serves the embedded mongod, a replica set and a sharded cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pymongo import ASCENDING, IndexModel

FIXES = "fixes"
MINUTES = "minutes"
WATERMARKS = "watermarks"
ERASURES = "erasures"
TOKENS = "tokens"

Index = str | list[tuple[str, int]]  # as a hint names it
BY_USER_AND_TIME: list[tuple[str, int]] = [("user_id", ASCENDING), ("fix_time", ASCENDING)]


@dataclass(frozen=True)
class Collection:
    """A collection as it should be.

    A clustered one is stored in the order of its key, so that exports read on.
    """

    name: str
    indexes: Sequence[IndexModel] = ()
    clustered: bool = False


COLLECTIONS = (
    Collection(
        FIXES,
        indexes=(
            # The roll-up reads what was received since its watermark.
            IndexModel([("received_at", ASCENDING)]),
            # A user's newest fix decides which pass of a repeated hour a wall time means.
            IndexModel(BY_USER_AND_TIME),
        ),
    ),
    Collection(
        MINUTES,
        # The roll-up finds the few minutes that still miss a fix; sparse: the rest costs nothing.
        indexes=(IndexModel([("missing", ASCENDING)], sparse=True),),
        clustered=True,
    ),
    Collection(WATERMARKS),
    Collection(ERASURES),
    # Those of one user are listed, and go with the user.
    Collection(TOKENS, indexes=(IndexModel([("user_id", ASCENDING)]),)),
)
