"""Measure what the index on change marks adds to a roll-up, in mongod's CPU time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

from bson import Timestamp
from pymongo.database import Database

from benchmarks import raw
from benchmarks.harness import Row, Target, interleave
from benchmarks.serving import scratch
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import FIXES, MINUTES, WATERMARKS, Document

USERS = 100
COUNT = 200_000
RHYTHMS_S = (1, 10)
INDEX = "changed_at_1"


def measure() -> list[Row]:
    """Return the CPU time of a roll-up with the index, against one without."""
    return [row for rhythm_s in RHYTHMS_S for row in _measure(rhythm_s)]


def _measure(rhythm_s: int) -> list[Row]:
    with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
        migrate.prepare(database)
        return [*_folds(database, rhythm_s)]


def _folds(database: Database[Document], rhythm_s: int) -> Iterator[Row]:
    """Measure folds into new minutes, and then into minutes that have every second fix."""
    fixes = raw.arriving(USERS, COUNT, rhythm_s)
    rounds = list(iter(lambda: list(islice(fixes, USERS)), []))
    hour_ago = Timestamp(datetime.now(UTC) - timedelta(hours=1), 0)
    for kind, part in (("new", rounds[::2]), ("joining", rounds[1::2])):
        for name in (MINUTES, WATERMARKS):
            raw.copy(database, name, f"before_{name}")
        raw.receive(database, (dict(fix) for together in part for fix in together))
        samples = interleave(
            {each: partial(_cpu_ms, database, each) for each in ("with", "without")}
        )
        label = f"roll-up of {COUNT // 2:,} {kind} fixes, {60 // rhythm_s} a minute"
        without = Row(f"{label}, no index on changes", "ms of mongod's CPU", samples["without"])
        yield Row(label, without.unit, samples["with"], without, Target(at_most=1.05))
        yield without
        database[FIXES].update_many({}, {"$set": {"received_at": hour_ago}})


def _cpu_ms(database: Database[Document], index: str) -> float:
    for name in (MINUTES, WATERMARKS):
        database.drop_collection(name)
    migrate.prepare(database)
    if index == "without":
        database[MINUTES].drop_index(INDEX)
    for name in (MINUTES, WATERMARKS):
        documents = list(database[f"before_{name}"].find())
        if documents:
            database[name].insert_many(documents)
    before = _mongod_ms(database)
    fold_new_fixes(database)
    return _mongod_ms(database) - before


def _mongod_ms(database: Database[Document]) -> float:
    process = database.command("serverStatus")["extra_info"]
    total: float = process["user_time_us"] + process["system_time_us"]
    return total / 1_000
