"""Long reads go to the members that the URI prefers, and see what was acknowledged before."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pymongo
import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from locapi import mongo
from locapi.export import read_pages
from locapi.fixes import FixStore
from locapi.mongo import Document
from locapi.rollup import roll_up
from locapi.schema import Fix
from locapi.settings import Settings
from tests.faults.processes import until
from tests.members import MEMBERS, Members


def settings(members: Members, more: str = "") -> Settings:
    return Settings(mongodb_uri=members.uri + more, database="reads")


def store_a_minute(members: Members, minute: int) -> None:
    wall = datetime(2017, 1, 1, 13, minute)
    with mongo.open_database(settings(members)) as database:
        FixStore(database).put(Fix("a1", wall.isoformat(" "), wall, 40.7, -74.0, 5.0, 1.5))
        roll_up(database)


def asked(database: Database[Document]) -> object:
    cursor = database.minutes.find()
    next(cursor, None)
    return cursor.address


def primary(members: Members) -> object:
    until(members.whole, "a primary")
    return "127.0.0.1", members.known_by[members.primaries()[0]]


def test_only_long_reads_follow_the_uri(replica_set: Members) -> None:
    with mongo.open_for_reading(settings(replica_set, "&readPreference=secondary")) as database:
        assert asked(database) != primary(replica_set)
    with mongo.open_database(settings(replica_set, "&readPreference=secondary")) as database:
        assert asked(database) == primary(replica_set)
    with mongo.open_for_reading(settings(replica_set)) as database:
        assert asked(database) == primary(replica_set)


def test_the_embedded_database_takes_a_preference_too(mongodb_uri: str) -> None:
    preferring = Settings(mongodb_uri=mongodb_uri + "&readPreference=secondary", database="reads")
    with mongo.open_for_reading(preferring) as database:
        assert list(read_pages(database)) == []


def a_follower(members: Members) -> int:
    """Return a secondary that the other one does not follow."""
    with MongoClient[Document](members.uri) as client:
        states = client.admin.command("replSetGetStatus")["members"]
    followed = {state["syncSourceHost"] for state in states}
    names = [f"127.0.0.1:{port}" for port in members.known_by]
    return next(
        number
        for number in MEMBERS
        if number not in members.primaries() and names[number] not in followed
    )


@contextmanager
def lagging(members: Members) -> Iterator[None]:
    """Let one secondary take no more writes; it goes on answering reads."""
    port = members.known_by[a_follower(members)]
    with MongoClient[Document]("127.0.0.1", port, directConnection=True) as client:
        client.admin.command("fsync", lock=True)
        try:
            yield
        finally:
            client.admin.command("fsyncUnlock")


def counted(database: Database[Document]) -> int:
    """Return how many minutes are seen, or -1 where a member is waited for."""
    try:
        with pymongo.timeout(0.5):
            return len(database.minutes.find().to_list())
    except PyMongoError:
        return -1


def test_a_secondary_that_lags_is_waited_for(replica_set: Members) -> None:
    store_a_minute(replica_set, 1)
    until(replica_set.whole, "a primary")
    uri = settings(replica_set, "&readPreference=secondary")
    with lagging(replica_set):
        store_a_minute(replica_set, 2)
        with mongo.open_for_reading(uri) as database:
            seen = {counted(database) for _ in range(20)}
            assert seen == {2, -1}  # the one that keeps up; the other, waited for; never one minute
    with mongo.open_for_reading(uri) as database:
        assert sum(len(page) for page in read_pages(database)) == 2


@pytest.mark.parametrize("preference", ["primaryPreferred", "secondaryPreferred", "nearest"])
def test_every_preference_reads_all_that_was_acknowledged(
    replica_set: Members, preference: str
) -> None:
    store_a_minute(replica_set, 3)
    with mongo.open_for_reading(settings(replica_set, f"&readPreference={preference}")) as database:
        minutes = [minute["_id"] for page in read_pages(database) for minute in page]
    assert "a1\t2017-01-01T18:03" in minutes
