"""Measure how long a single client waits for its answer, against an insert without an API."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count
from statistics import median
from typing import Any

from bson import Timestamp
from pymongo.collection import Collection

from benchmarks.harness import Row, Target, interleave
from benchmarks.load import STORED, drive
from benchmarks.serving import LOCCTL_SERVE, scratch, serving
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import Document

INSERTS = 3_000


def measure() -> list[Row]:
    """Return the median latencies, in milliseconds."""
    with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
        migrate.prepare(database)
        things, documents = database["things"], _documents()
        things.create_index("received_at")
        things.create_index(["user_id", "fix_time"])  # as many as raw fixes have
        with serving(LOCCTL_SERVE, home) as api:
            seen = interleave(
                {
                    "locapi": partial(_ask, api.port),
                    "insert_one": partial(_insert, things, documents),
                }
            )
    peer = Row("`insert_one` from a script, p50", "ms", seen["insert_one"])
    return [Row("PUT of a lone client, p50", "ms", seen["locapi"], peer, Target(at_most=1.8)), peer]


def _ask(port: int) -> float:
    return drive(port, STORED, 1).p50_ms


def _insert(things: Collection[Document], documents: Iterator[dict[str, Any]]) -> float:
    times = []
    for _ in range(INSERTS):
        document = next(documents)
        start = time.perf_counter()
        things.insert_one(document)
        times.append(time.perf_counter() - start)
    return median(times) * 1000


def _documents() -> Iterator[dict[str, Any]]:
    for number in count():
        yield {
            "_id": f"user{number % 100:03}\t2017-07-30 {number:012}",
            "user_id": f"user{number % 100:03}",
            "local_time": "2017-07-30 00:18:08.919",
            "lat": 40.7,
            "long": -74.0,
            "accuracy": 5.0,
            "speed": 1.0,
            "fix_time": datetime(2017, 7, 30, 4, 18, 8, 919_000, UTC),
            "tz": "America/New_York",
            "utc_offset": -14_400,
            "received_at": Timestamp(0, 0),
            "minute_id": f"user{number % 100:03}\t2017-07-30T04:18",
            "seen_code": -28_791_081,
        }
