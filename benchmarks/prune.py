"""Raw fixes pruned a second, beside deleting by date, which proves nothing."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from bson import Timestamp
from pymongo.database import Database

from benchmarks.filling import FIXES_A_MINUTE, fill_fixes, fill_minutes
from benchmarks.harness import Row, interleave
from benchmarks.serving import scratch
from locapi import mongo, prune, rollup
from locapi.mongo import FIXES, Document
from locapi.settings import Settings
from locapi.watermarks import HORIZON_TRUST_S

N_FIXES = 60_000
AGE = timedelta(minutes=10)


def measure() -> list[Row]:
    """Return fixes a second, with and without the wait for the API's processes."""
    with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
        mongo.prepare(database)
        fill_minutes(database, N_FIXES // FIXES_A_MINUTE)
        rollup.roll_up(database)  # so that a prune finds all folded
        seconds = interleave(
            {
                "prune": partial(_seconds, database, partial(prune.prune, database, AGE)),
                "delete": partial(_seconds, database, partial(_delete_by_date, database)),
            }
        )
    what = f"of {N_FIXES:,} fixes"
    peer = Row("`delete_many` by date", "fixes a second", _rates(seconds["delete"]))
    busy = [each - 2 * HORIZON_TRUST_S for each in seconds["prune"]]
    return [
        Row(f"prune {what}, without its wait", "fixes a second", _rates(busy), peer),
        Row(f"prune {what}, with its wait", "fixes a second", _rates(seconds["prune"]), peer),
        peer,
    ]


def _rates(seconds: list[float]) -> list[float]:
    return [N_FIXES / each for each in seconds]


def _seconds(database: Database[Document], delete: Callable[[], object]) -> float:
    database[FIXES].delete_many({})
    fill_fixes(database, N_FIXES)
    start = time.perf_counter()
    delete()
    seconds = time.perf_counter() - start
    if left := database[FIXES].count_documents({}):
        raise RuntimeError(f"{left:,} fixes were left")
    return seconds


def _delete_by_date(database: Database[Document]) -> None:
    horizon = Timestamp(datetime.now(UTC) - AGE, 0)
    database[FIXES].delete_many({"received_at": {"$lt": horizon}})
