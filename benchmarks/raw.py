"""Raw fixes as the API stores them, made in bulk."""

import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice

from bson import Timestamp
from pymongo.database import Database

from locapi.fixes import timezones
from locapi.fixes.validation import Fix
from locapi.ingest.candidate import document_of
from locapi.storage.documents import FIXES, Document

START = datetime(2017, 7, 30)  # noqa: DTZ001  what a device sends has no zone
NOW = Timestamp(0, 0)  # where mongod puts its own time at an insert
BATCH = 10_000


def track(
    user_id: str, count: int, rhythm_s: float, received_at: Timestamp = NOW
) -> Iterator[Document]:
    """Yield a user's fixes in order of time, one every so many seconds."""
    chance = random.Random(user_id)  # noqa: S311  repeatable, not secret
    for tick in range(count):
        wall = START + timedelta(seconds=tick * rhythm_s, milliseconds=919)
        fix = Fix(
            user_id=user_id,
            local_time=wall.isoformat(" ", "milliseconds"),
            wall=wall,
            lat=round(40.7 + chance.random() / 100, 6),
            long=round(-74 + chance.random() / 100, 6),
            accuracy=5.0 + tick % 20,
            speed=round(2 * chance.random(), 2),
        )
        (instant,) = timezones.readings(wall, fix.lat, fix.long)
        yield {**document_of(fix, instant), "received_at": received_at}


def arriving(users: int, fixes: int, rhythm_s: float) -> Iterator[Document]:
    """Yield as many fixes of many users as they come in: one of each, then the next of each."""
    tracks = [track(f"user{number:06}", fixes // users, rhythm_s) for number in range(users)]
    for together in zip(*tracks, strict=True):
        yield from together


def copy(database: Database[Document], source: str, target: str) -> None:
    """Replace a collection's documents, not its indexes, by those of another."""
    database[source].aggregate([{"$out": target}])


def receive(database: Database[Document], documents: Iterator[Document]) -> None:
    """Insert raw fixes in large batches, each while the next is made."""
    with ThreadPoolExecutor(1) as inserter:
        inserting: Future[object] | None = None
        while batch := list(islice(documents, BATCH)):
            if inserting:
                inserting.result()
            inserting = inserter.submit(database[FIXES].insert_many, batch, ordered=False)
        if inserting:
            inserting.result()
