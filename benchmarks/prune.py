"""Raw fixes pruned a second, beside deleting by date, which proves nothing."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from pymongo.database import Database

from benchmarks import raw
from benchmarks.harness import Row, Target, interleave
from benchmarks.serving import scratch
from locapi import mongo, watermarks, windows
from locapi.mongo import FIXES, Document
from locapi.prune import prune
from locapi.rollup import roll_up
from locapi.settings import Settings

USERS = 100
COUNT = 500_000
RHYTHM_S = 6  # ten fixes a minute
NOW = timedelta()
_KEPT = "kept_fixes"


def measure() -> list[Row]:
    """Return fixes a second, the wait for the API's processes included."""
    with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
        mongo.prepare(database)
        raw.receive(database, raw.arriving(USERS, COUNT, RHYTHM_S))
        roll_up(database)
        raw.copy(database, FIXES, _KEPT)
        rates = interleave(
            {
                "prune": partial(_rate, database, partial(prune, database, NOW)),
                "delete": partial(_rate, database, partial(_delete_by_date, database)),
            }
        )
    peer = Row("`delete_many` by date", "fixes a second", rates["delete"])
    what = f"prune of {COUNT:,} fixes"
    return [Row(what, "fixes a second", rates["prune"], peer, Target(at_least=0.3)), peer]


def _rate(database: Database[Document], delete: Callable[[], object]) -> float:
    raw.copy(database, _KEPT, FIXES)
    start = time.perf_counter()
    delete()
    seconds = time.perf_counter() - start
    if left := database[FIXES].count_documents({}):
        raise RuntimeError(f"{left:,} fixes were left")
    return COUNT / seconds


def _delete_by_date(database: Database[Document]) -> None:
    horizon = watermarks.after(mongo.settled_time(database))
    database[FIXES].delete_many(windows.received(end=horizon))
