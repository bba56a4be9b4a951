"""The status is read from the database by few commands, which change nothing."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bson import Timestamp
from pymongo import MongoClient
from pymongo.database import Database

from locapi.errors import DatabaseUnavailable
from locapi.fixes import ids
from locapi.monitoring import status, user_count
from locapi.monitoring.health_checks import find_problems
from locapi.monitoring.ingest_rate import IngestRate
from locapi.monitoring.sampler import Sampler
from locapi.monitoring.status import Status
from locapi.rollup import watermarks
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import Document
from tests.conftest import Commands
from tests.support import rights
from tests.support.mongod import running_with_root
from tests.support.statuses import AT, LAG

WHERE = "mongodb://db:27017/"
READS = {"find", "aggregate", "count", "hello", "buildinfo", "dbStats"}


def ago(**spans: float) -> Timestamp:
    return Timestamp(AT - timedelta(**spans), 1)


def raw(user_id: str, number: int, received_at: Timestamp) -> Document:
    return {
        "_id": f"{user_id}\t{number}",
        "user_id": user_id,
        "slice": ids.slice_of(user_id),
        "fix_time": AT,
        "received_at": received_at,
    }


def minute(user_id: str, number: int, **fields: Any) -> Document:
    return {"_id": f"{user_id}\t2017-01-01T18:{number:02}", "user_id": user_id, **fields}


@pytest.fixture
def filled(db: Database[Document]) -> Database[Document]:
    db.fixes.insert_many(
        [raw("a", 1, ago(hours=2)), raw("a", 2, ago(hours=1)), raw("b", 1, ago(seconds=60))]
    )
    users = [("a", 5), ("a", 6), ("a b", 5), ("ü", 5), ("ü", 6)]
    db.minutes.insert_many(minute(user_id, number) for user_id, number in users)
    slices = [ago(seconds=90)] * ids.SLICES
    db.watermarks.insert_many(
        [
            {"_id": "rollup", "slices": slices, "duration_s": 0.25},
            {
                "_id": "prune",
                "received_at": ago(days=7),
                "finished_at": AT - timedelta(days=3),
                "deleted": 1234,
            },
        ]
    )
    return db


def read(database: Database[Document]) -> Status:
    return status.count_users(database, status.read(database, WHERE, AT))


def test_status_has_everything_that_is_stored(filled: Database[Document]) -> None:
    found = read(filled)
    assert replace(found, mongodb=None, disk=None) == Status(
        at=AT,
        database=filled.name,
        where=WHERE,
        raw_fixes=3,
        minutes=5,
        users=3,
        users_complete=True,
        newest_received_at=AT - timedelta(seconds=60),
        oldest_received_at=AT - timedelta(hours=2),
        rollup_lag_s=60.0,
        rolled_up_at=AT - timedelta(seconds=90),
        rollup_duration_s=0.25,
        minutes_missing_fixes=0,
        quarantined_minutes=0,
        pruned_at=AT - timedelta(days=3),
        pruned_fixes=1234,
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+", found.mongodb or "")
    disk = found.disk
    assert disk is not None
    assert disk.data_bytes >= 0 <= disk.index_bytes
    assert disk.free_bytes is not None
    assert disk.volume_bytes is not None
    assert 0 <= disk.free_bytes < disk.volume_bytes


def test_status_of_a_new_database_reads_only(
    watched: Database[Document], commands: Commands
) -> None:
    watched.client.drop_database(watched.name)
    commands.names.clear()
    found = replace(read(watched), disk=None)
    assert found == Status(
        AT,
        watched.name,
        WHERE,
        mongodb=found.mongodb,
        raw_fixes=0,
        minutes=0,
        users=0,
        users_complete=True,
        rollup_lag_s=0.0,
        minutes_missing_fixes=0,
        quarantined_minutes=0,
    )
    assert find_problems(found, LAG) == []
    assert set(commands.names) <= READS
    assert watched.list_collection_names() == []


def test_slowest_slice_counts(filled: Database[Document]) -> None:
    slow = ids.slice_of("a")
    slices = [ago(seconds=30)] * ids.SLICES
    slices[slow] = ago(hours=1, seconds=5)
    filled.watermarks.update_one({"_id": "rollup"}, {"$set": {"slices": slices}})
    found = read(filled)
    assert found.rolled_up_at == AT - timedelta(hours=1, seconds=5)
    assert found.rollup_lag_s == 3_600.0
    slices[slow] = watermarks.NEVER
    filled.watermarks.update_one({"_id": "rollup"}, {"$set": {"slices": slices}})
    found = read(filled)
    assert (found.rolled_up_at, found.rollup_lag_s) == (None, 7_200.0)


def test_number_of_commands_depends_only_on_the_number_of_users(
    watched: Database[Document], commands: Commands, db: Database[Document]
) -> None:
    def sent(fixes: int) -> list[str]:
        db.fixes.delete_many({})
        db.minutes.delete_many({})
        db.fixes.insert_many(raw(f"u{n % 3}", n, ago(seconds=n)) for n in range(fixes))
        db.minutes.insert_many(minute(f"u{n % 3}", n) for n in range(fixes))
        commands.names.clear()
        assert read(watched).users == 3
        return list(commands.names)

    few, many = sent(3), sent(300)
    assert few == many
    assert len(few) <= 19 + 4


def test_no_collection_is_scanned(db: Database[Document]) -> None:
    db.fixes.insert_many(raw(f"u{n % 5}", n, ago(seconds=n)) for n in range(3_000))
    db.minutes.insert_many(minute(f"u{n % 5}", n, seen=[]) for n in range(1_000))
    db.command("profile", 2)
    assert read(db).users == 5
    db.command("profile", 0)
    costs = [
        (each["op"], each["planSummary"], each.get("keysExamined"), each.get("docsExamined"))
        for each in db["system.profile"].find({"command.profile": {"$exists": False}})
        if "planSummary" in each
    ]
    assert len(costs) > 10
    for cost in costs:
        _, plan, keys_examined, documents = cost
        assert "COLLSCAN" not in plan, cost
        assert (keys_examined or 0) <= 300, cost  # two a slice
        assert (documents or 0) <= 2, cost


def test_users_are_counted_by_their_whole_names_in_minutes_or_fixes(
    db: Database[Document],
) -> None:
    names = ["a", "a b", "aa", "A", "ä", "😀", "\ufffd", "a-b", "a\u00a0b"]
    db.minutes.insert_many(minute(name, n) for name in names for n in range(3))
    assert user_count.count(db) == (len(names), True)
    db.fixes.insert_many(raw(f"u{n}", 1, ago(days=1)) for n in range(20))
    assert user_count.count(db) == (20, True)


def test_count_of_users_ends_in_time(
    filled: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_count, "TIMEOUT_S", 1e-6)
    found = read(filled)
    assert found.users_complete is False
    assert found.users in range(4)


def test_minutes_with_missing_fixes_are_counted_up_to_a_limit(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "RECHECK_S", 0.0)
    db.minutes.insert_many(minute("a", n, missing=[n]) for n in range(4))
    db.minutes.insert_many(minute("b", n) for n in range(4))
    assert read(db).minutes_missing_fixes == 4
    monkeypatch.setattr(status, "MAX_MISSING", 3)
    assert read(db).minutes_missing_fixes == 3


def test_minutes_that_a_roll_up_completes_meanwhile_do_not_count(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    db.minutes.insert_one(minute("a", 5, missing=[7]))

    def complete(_: float) -> None:
        db.minutes.update_many({}, {"$unset": {"missing": 1}})

    # The module's `time`, not `time.sleep`, which the driver's threads use too.
    monkeypatch.setattr(status, "time", SimpleNamespace(sleep=complete, monotonic=time.monotonic))
    assert read(db).minutes_missing_fixes == 0


def test_values_that_need_a_missing_index_are_not_read(db: Database[Document]) -> None:
    db.fixes.insert_one(raw("a", 1, ago(days=1)))
    db.fixes.drop_index("slice_1_received_at_1")
    db.minutes.insert_one(minute("a", 5))
    db.minutes.drop_index("missing_1")
    found = read(db)
    assert found.missing_indexes == ("fixes: slice, received_at", "minutes: missing")
    assert (found.raw_fixes, found.users) == (None, None)
    sample = Sampler(db, WHERE, LAG).sample()
    assert (sample.rates, sample.problems[0].code) == (None, "index_missing")
    migrate.prepare(db)
    assert read(db).missing_indexes == ()


def test_sample_reports_a_database_that_fails_between_two_reads(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnavailable("no answer")

    monkeypatch.setattr(IngestRate, "sample", fail)
    sample = Sampler(db, WHERE, LAG).sample()
    assert (sample.rates, sample.problems) == (None, [("database_away", "no answer")])


@contextmanager
def guarded(home: Path, privileges: list[Document]) -> Iterator[tuple[str, MongoClient[Document]]]:
    """Run a mongod with passwords; yield the URI of a user with these rights, and root's client."""
    with running_with_root(home, "r") as (host, client):
        client.locapi.command("createRole", "locapi", privileges=privileges, roles=[])
        client.locapi.command("createUser", "locapi", pwd="geheim", roles=["locapi"])
        yield f"mongodb://locapi:geheim@{host}/?directConnection=true&authSource=locapi", client


def test_rights_of_the_containers_suffice_and_only_the_disk_needs_db_stats(tmp_path: Path) -> None:
    with guarded(tmp_path, rights.of_containers()) as (uri, root):
        settings = Settings(mongodb_uri=uri)
        with mongo.open_database(settings) as database:
            migrate.prepare(database)
            database.fixes.insert_one(raw("a", 1, ago(days=1)))
        everything = status.check(settings)
        fewer = rights.of_containers(with_dbstats=False)
        root.locapi.command("updateRole", "locapi", privileges=fewer, roles=[])
        less = status.check(settings)
    assert (everything.error, everything.raw_fixes, everything.users) == (None, 1, 1)
    assert everything.disk is not None
    less = replace(less, at=everything.at, rollup_lag_s=everything.rollup_lag_s)
    assert less == replace(everything, disk=None)
    assert "geheim" not in repr(everything)


def test_user_without_rights_is_reported(tmp_path: Path) -> None:
    with guarded(tmp_path, []) as (uri, _):
        found = status.check(Settings(mongodb_uri=uri))
    (problem,) = find_problems(found, LAG)
    assert problem.code == "database_refuses"
    assert problem.message.startswith("the database does not grant the right")
