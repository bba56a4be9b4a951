"""Reads see what was acknowledged before, on whichever member and behind a router."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pymongo
import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_preferences import Secondary

from locapi.errors import Conflict
from locapi.exporters.changes import read_changes
from locapi.exporters.query import read_pages
from locapi.fixes.validation import Fix
from locapi.ingest.store import FixStore
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import embedded, mongo, read_points
from locapi.storage.documents import Document
from tests.support.members import MEMBERS, Members
from tests.support.mongos import Mongos
from tests.support.processes import until


def settings(members: Members, options: str = "") -> Settings:
    return Settings(mongodb_uri=members.uri + options, database="reads")


def store_a_minute(members: Members, minute: int) -> None:
    wall = datetime(2017, 1, 1, 13, minute)
    with mongo.open_database(settings(members)) as database:
        FixStore(database).put(Fix("a1", wall.isoformat(" "), wall, 40.7, -74.0, 5.0, 1.5))
        fold_new_fixes(database)


def address_of_reads(database: Database[Document]) -> object:
    cursor = database.minutes.find()
    next(cursor, None)
    return cursor.address


def primary(members: Members) -> object:
    until(members.whole, "a primary")
    return "127.0.0.1", members.known_by[members.primaries()[0]]


def test_only_long_reads_follow_the_uri(replica_set: Members) -> None:
    secondary = settings(replica_set, "&readPreference=secondary")
    with mongo.open_for_reading(secondary) as database:
        assert address_of_reads(database) != primary(replica_set)
    with mongo.open_database(secondary) as database:
        assert address_of_reads(database) == primary(replica_set)
    with mongo.open_for_reading(settings(replica_set)) as database:
        assert address_of_reads(database) == primary(replica_set)


def test_the_embedded_database_accepts_a_preference(tmp_path: Path) -> None:
    with embedded.mongod(tmp_path) as uri:
        preferring = Settings(mongodb_uri=uri + "&readPreference=secondary")
        with mongo.open_for_reading(preferring) as database:
            assert list(read_pages(database)) == []


def secondaries(members: Members) -> tuple[int, int]:
    """Return both secondaries, first one that the other does not replicate from."""
    with MongoClient[Document](members.uri) as client:
        states = client.admin.command("replSetGetStatus")["members"]
    sources = {state["syncSourceHost"] for state in states}
    both = [number for number in MEMBERS if number not in members.primaries()]
    both.sort(key=lambda number: f"127.0.0.1:{members.known_by[number]}" in sources)
    return both[0], both[1]


@contextmanager
def lagging(members: Members, number: int) -> Iterator[None]:
    """Let a secondary apply no writes; it goes on answering reads."""
    port = members.known_by[number]
    with MongoClient[Document]("127.0.0.1", port, directConnection=True) as client:
        client.admin.command("fsync", lock=True)
        try:
            yield
        finally:
            client.admin.command("fsyncUnlock")


def minutes_read_from(members: Members, number: int, timeout_s: float) -> int | None:
    """Return how many minutes a secondary shows, or None if it does not answer in time."""
    preference = f"&readPreference=secondary&readPreferenceTags=member:{number}"
    with mongo.open_for_reading(settings(members, preference)) as database:
        try:
            with pymongo.timeout(timeout_s):
                return len(database.minutes.find().to_list())
        except PyMongoError as error:
            if not error.timeout:
                raise
            return None


def test_a_secondary_that_lags_answers_once_it_has_caught_up(replica_set: Members) -> None:
    store_a_minute(replica_set, 1)
    until(replica_set.whole, "a primary")
    slow, other = secondaries(replica_set)
    with lagging(replica_set, slow):
        store_a_minute(replica_set, 2)
        assert minutes_read_from(replica_set, other, timeout_s=30) == 2
        assert minutes_read_from(replica_set, slow, timeout_s=0.5) is None
    assert minutes_read_from(replica_set, slow, timeout_s=30) == 2


def test_a_member_with_older_marks_does_not_refuse_a_token(replica_set: Members) -> None:
    """As a primary that was just elected may have them."""
    store_a_minute(replica_set, 4)
    until(replica_set.whole, "a primary")
    slow, _ = secondaries(replica_set)
    of_slow = Secondary([{"member": str(slow)}])
    with mongo.open_database(settings(replica_set)) as database, lagging(replica_set, slow):
        store_a_minute(replica_set, 5)
        token = read_changes(database).token
        older = database.with_options(read_preference=of_slow)
        changed = read_changes(older, token)
        assert list(changed.minutes.pages) == []
        assert changed.token.last < token.last
        with pytest.raises(Conflict):
            read_changes(older, token._replace(last=datetime(9999, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize("preference", ["primaryPreferred", "secondaryPreferred", "nearest"])
def test_every_preference_reads_all_that_was_acknowledged(
    replica_set: Members, preference: str
) -> None:
    store_a_minute(replica_set, 3)
    with mongo.open_for_reading(settings(replica_set, f"&readPreference={preference}")) as database:
        minutes = [minute["_id"] for page in read_pages(database) for minute in page]
    assert "a1\t2017-01-01T18:03" in minutes


def test_the_majority_read_time_is_the_databases_clock(db: Database[Document]) -> None:
    found = read_points.majority_read_time(db)
    assert abs(found - datetime.now(UTC)) < timedelta(seconds=30)


def test_behind_a_router_reads_wait_for_the_cluster_time(mongos: Mongos) -> None:
    with mongo.open_database(Settings(mongodb_uri=mongos.uri, database="routed")) as database:
        before = database.command("ping")["$clusterTime"]["clusterTime"]
        point = read_points.majority_read_point(database)
        assert point.after is not None
        assert point.after >= before
        assert point.time == point.after.as_datetime()
        sent = len(mongos.commands)
        fold_new_fixes(database)
        read_points.majority_read_time(database)
        database.client.drop_database(database.name)
    reads = [each for each in mongos.commands[sent:] if each.get("aggregate") == "fixes"]
    of_all_shards = [each for each in mongos.commands[sent:] if each.get("sort") == {"_id": -1}]
    assert len(reads) == 2  # the count of new fixes and the fold
    assert len(of_all_shards) == 1  # each shard answers, so each has come so far
    for read in (*reads, *of_all_shards):
        assert read["readConcern"]["level"] == "majority"
        assert read["readConcern"]["afterClusterTime"] >= point.after
