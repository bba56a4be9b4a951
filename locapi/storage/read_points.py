"""Find the time up to which majority reads see every write, and read after a given time."""

from datetime import datetime
from typing import Any, NamedTuple

from bson import Timestamp
from pymongo import DESCENDING, ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from locapi.storage import driver_errors
from locapi.storage.documents import FIXES, Document


class MajorityReadPoint(NamedTuple):
    """A time up to which majority reads see every finished write, by the database's clock."""

    time: datetime
    election: Any  # the primary's; None on a standalone server and behind a router
    after: Timestamp | None = None  # behind a router, reads have to wait for this time


def majority_read_point(database: Database[Document]) -> MajorityReadPoint:
    """Return the time up to which the primary's majority reads see every write.

    Reads from a primary that is elected later may see less.
    """
    with driver_errors.translated():
        hello = database.command("hello", codec_options=database.codec_options)
    if is_router(hello) and "$clusterTime" in hello:
        now = hello["$clusterTime"]["clusterTime"]
        return MajorityReadPoint(now.as_datetime(), None, now)
    time: datetime = hello.get("lastWrite", {}).get("majorityWriteDate", hello["localTime"])
    return MajorityReadPoint(time, hello.get("electionId"))


def majority_read_time(database: Database[Document]) -> datetime:
    """Return the time up to which majority reads see every finished write, on all shards."""
    now = majority_read_point(database)
    if now.after is not None:
        with driver_errors.translated():
            shards = reading_after(database, now.after)[FIXES]
            # Sorted, so the router waits for each shard's answer.
            shards.find_one({}, {"_id": 1}, sort=[("_id", DESCENDING)])
    return now.time


def is_router(hello: Document) -> bool:
    """Return whether a response to `hello` comes from a sharded cluster's router."""
    return hello.get("msg") == "isdbgrid"


def latest_write(database: Database[Document]) -> Timestamp | None:
    """Return the time of the primary's newest write, or None on a server without an oplog."""
    with driver_errors.translated():
        return database.command("ping").get("operationTime")


def reading_after(database: Database[Document], time: Timestamp | None) -> Database[Document]:
    """Return the database for reads that see every write up to `time`, if it is not None.

    A member that does not have these writes yet responds once it has them.
    """
    return database if time is None else database.with_options(read_concern=_ReadingAfter(time))


def linearizable(documents: Collection[Document]) -> Collection[Document]:
    """Return a collection for reads that see every write that any client was answered.

    Other majority reads may miss some on a primary that was just elected, or does not know yet
    that another was.
    """
    return documents.with_options(
        read_concern=ReadConcern("linearizable"), read_preference=ReadPreference.PRIMARY
    )


class _ReadingAfter(ReadConcern):
    """Majority reads with `afterClusterTime`, which the driver offers in sessions only."""

    def __init__(self, time: Timestamp) -> None:
        super().__init__("majority")
        self._time = time

    @property
    def document(self) -> dict[str, Any]:
        """Return the read concern as commands carry it."""
        return {**super().document, "afterClusterTime": self._time}
