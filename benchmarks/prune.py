"""Measure raw fixes pruned a second, against deleting by date without any check."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from unittest import mock

from pymongo.database import Database

from benchmarks import raw
from benchmarks.harness import Row, Target, interleave
from benchmarks.serving import scratch
from locapi.rollup import watermarks, windows
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.prune import prune
from locapi.settings import Settings
from locapi.storage import migrate, mongo, read_points
from locapi.storage.documents import FIXES, Document

USERS = 100
COUNT = 250_000
RHYTHM_S = 6  # ten fixes a minute
NOW = timedelta()
_KEPT = "kept_fixes"


def measure() -> list[Row]:
    """Return fixes a second, without the two seconds of wait for the API's processes."""
    with (
        scratch() as home,
        mongo.open_database(Settings(mongodb_uri=home.uri)) as database,
        mock.patch.object(watermarks, "HORIZON_TRUST_S", 0.0),
    ):
        migrate.prepare(database)
        raw.receive(database, raw.arriving(USERS, COUNT, RHYTHM_S))
        fold_new_fixes(database)
        raw.copy(database, FIXES, _KEPT)
        rates = interleave(
            {
                "prune": partial(_rate, database, partial(prune, database, NOW)),
                "delete": partial(_rate, database, partial(_delete_by_date, database)),
            }
        )
    peer = Row("`delete_many` by date", "fixes a second", rates["delete"])
    what = f"prune of {COUNT:,} fixes"
    return [Row(what, "fixes a second", rates["prune"], peer, Target(at_least=0.5)), peer]


def _rate(database: Database[Document], delete: Callable[[], object]) -> float:
    raw.copy(database, _KEPT, FIXES)
    start = time.perf_counter()
    delete()
    seconds = time.perf_counter() - start
    if left := database[FIXES].count_documents({}):
        raise RuntimeError(f"{left:,} fixes were left")
    return COUNT / seconds


def _delete_by_date(database: Database[Document]) -> None:
    horizon = watermarks.after(read_points.majority_read_time(database))
    database[FIXES].delete_many(windows.received(end=horizon))
