"""Raw fixes folded into minutes a second, beside the aggregation that is not exact."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

from bson import Timestamp
from pymongo.database import Database

from benchmarks.harness import Row, interleave
from benchmarks.peers import average
from benchmarks.serving import scratch
from locapi import mongo, utc
from locapi.fixes import _document
from locapi.mongo import FIXES, MINUTES, WATERMARKS, Document
from locapi.rollup import roll_up
from locapi.schema import Fix
from locapi.settings import Settings

USERS = 100
RHYTHMS_S = (1, 10)
START = datetime(2017, 7, 30)  # noqa: DTZ001  what a device sends has no zone
BATCH = 10_000
BEGINNING = Timestamp(0, 0)
NOW = Timestamp(0, 0)  # where mongod puts its own time at an insert
_STATE = (MINUTES, WATERMARKS, average.MINUTES)


def measure(fixes: int) -> list[Row]:
    """Return fixes folded a second, into new minutes and into those that half of them made."""
    fixes -= fixes % (2 * USERS)  # in halves, and to every user as many
    rows = []
    for rhythm_s in RHYTHMS_S:
        with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
            kind = f"{60 // rhythm_s} fixes a minute"
            rows += _Rollups(database, fixes, rhythm_s).rows(kind)
    return rows


class _Rollups:
    """Raw fixes of which the first half was received, and rolled up, an hour before the second."""

    def __init__(self, database: Database[Document], fixes: int, rhythm_s: int) -> None:
        self._database = database
        self._fixes = fixes
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        self._later = Timestamp(hour_ago + timedelta(minutes=30), 0)
        mongo.prepare(database)
        self._receive(_documents(fixes, rhythm_s, 0, Timestamp(hour_ago, 0)))
        self._exact(BEGINNING)
        self._average(BEGINNING)
        for name in _STATE:
            self._copy(name, f"first_{name}")
        self._receive(_documents(fixes, rhythm_s, 1, NOW))

    def _receive(self, documents: Iterator[Document]) -> None:
        while batch := list(islice(documents, BATCH)):
            self._database[FIXES].insert_many(batch, ordered=False)

    def rows(self, kind: str) -> list[Row]:
        """Measure, and return what of it was seen."""
        rates = interleave(
            {
                "new, exact": partial(self._new, self._exact, MINUTES),
                "new, average": partial(self._new, self._average, average.MINUTES),
                "joining, exact": partial(self._joining, self._exact, MINUTES),
                "joining, average": partial(self._joining, self._average, average.MINUTES),
            }
        )
        return list(_in_pairs(kind, self._fixes, rates))

    def _new(self, fold: Callable[[Timestamp], None], minutes: str) -> float:
        for name in _STATE:
            self._database.drop_collection(name)
        mongo.prepare(self._database)
        return self._rate(partial(fold, BEGINNING), minutes, self._fixes, self._fixes)

    def _joining(self, fold: Callable[[Timestamp], None], minutes: str) -> float:
        for name in _STATE:
            self._copy(f"first_{name}", name)
        mongo.prepare(self._database)
        half = self._fixes // 2
        counted = self._fixes if fold == self._exact else half
        return self._rate(partial(fold, self._later), minutes, half, counted)

    def _rate(self, fold: Callable[[], None], minutes: str, fixes: int, counted: int) -> float:
        start = time.perf_counter()
        fold()
        seconds = time.perf_counter() - start
        total = {"$group": {"_id": None, "count": {"$sum": "$count"}}}
        (found,) = self._database[minutes].aggregate([total])
        if found["count"] != counted:
            raise RuntimeError(f"{minutes} count {found['count']:,} fixes, not {counted:,}")
        return fixes / seconds

    def _exact(self, _: Timestamp) -> None:
        roll_up(self._database)  # knows by its watermark where to begin

    def _average(self, since: Timestamp) -> None:
        pipeline = average.pipeline({"received_at": {"$gte": since}})
        self._database[FIXES].aggregate(pipeline, allowDiskUse=True)

    def _copy(self, source: str, target: str) -> None:
        self._database[source].aggregate([{"$out": target}])


def _in_pairs(kind: str, fixes: int, rates: dict[str, list[float]]) -> Iterator[Row]:
    for what, number in (("new", fixes), ("joining", fixes // 2)):
        label = f"{number:,} {what} fixes, {kind}"
        peer = Row(f"`$avg` and replace: {label}", "a second", rates[f"{what}, average"])
        yield Row(f"roll-up: {label}", "a second", rates[f"{what}, exact"], peer)
        yield peer


def _documents(fixes: int, rhythm_s: int, first: int, received_at: Timestamp) -> Iterator[Document]:
    """Yield every second fix of every user, as the API stores them, in order of time."""
    for tick in range(first, fixes // USERS, 2):
        wall = START + timedelta(seconds=tick * rhythm_s, milliseconds=919)
        for user in range(USERS):
            fix = Fix(
                user_id=f"user{user:03}",
                local_time=wall.isoformat(" ", "milliseconds"),
                wall=wall,
                lat=40.7 + user / 1000,
                long=-74.0 + tick / 1_000_000,
                accuracy=5.0 + tick % 20,
                speed=tick % 30 / 10,
            )
            instant = utc.readings(wall, fix.lat, fix.long)[0]
            yield {**_document(fix, instant), "received_at": received_at}
