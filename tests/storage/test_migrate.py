"""Collections, indexes, validators and shard keys are created, checked and repaired."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import WriteError

from locapi.api.app import create_app
from locapi.errors import DatabaseRefused
from locapi.rollup import prune
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.verify import Report, verify
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.collections import COLLECTIONS
from locapi.storage.documents import Document
from tests.conftest import Send, a_fix
from tests.support import rights
from tests.support.mongod import running_with_root
from tests.support.mongos import Mongos

NEW_FIXES = "slice_1_received_at_1"
ALL = [
    "fixes does not exist",
    "fixes has no validator",
    f"fixes has no index {NEW_FIXES}",
    "fixes has no index user_id_1_fix_time_1",
    "minutes does not exist",
    "minutes has no validator",
    "minutes has no index missing_1",
    "minutes has no index changed_at_1",
    "watermarks does not exist",
    "erasures does not exist",
    "tombstones does not exist",
    "quarantine does not exist",
    "tokens does not exist",
    "tokens has no index user_id_1",
    "rejects does not exist",
    "rejects has no index expires_at_1",
]


def reconcile(database: Database[Document], *, check: bool = False) -> list[str]:
    return [
        f"{each.collection} {each.what}{' (repaired)' if each.repaired else ''}"
        for each in migrate.reconcile(database, check=check)
    ]


@pytest.fixture
def empty(db: Database[Document]) -> Database[Document]:
    """A database without collections."""
    db.client.drop_database(db.name)
    return db


@pytest.fixture
def reconciled(db: Database[Document]) -> Database[Document]:
    reconcile(db)
    return db


def test_everything_is_created_once_and_each_difference_is_reported(
    empty: Database[Document],
) -> None:
    assert reconcile(empty, check=True) == ALL
    assert empty.list_collection_names() == []
    assert reconcile(empty) == [f"{each} (repaired)" for each in ALL]
    assert reconcile(empty) == []
    assert set(empty.list_collection_names()) == {each.name for each in COLLECTIONS}


def test_the_api_creates_all_but_validators_and_small_collections(
    db: Database[Document],
) -> None:
    migrate.prepare(db)
    assert reconcile(db, check=True) == [
        "fixes has no validator",
        "minutes has no validator",
        "watermarks does not exist",
        "erasures does not exist",
        "tombstones does not exist",
        "quarantine does not exist",
    ]


def test_only_the_patient_build_indexes_of_large_collections(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LARGE", 1)
    db.fixes.insert_many([{"_id": each} for each in ("a", "b")])
    for collection in (db.fixes, db.tokens):
        collection.drop_indexes()
    assert create_app(database=db).test_client().put("/location", json=a_fix()).status_code == 200
    assert sorted(db.fixes.index_information()) == ["_id_"]
    assert sorted(db.tokens.index_information()) == ["_id_", "user_id_1"]
    migrate.prepare(db)
    assert NEW_FIXES in db.fixes.index_information()


def test_concurrent_migrations_succeed(empty: Database[Document]) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(reconcile, [empty] * 4))
    assert reconcile(empty, check=True) == []


@pytest.mark.parametrize(
    "options", [{"sparse": True}, {"key": [("slice", 1), ("received_at", -1)]}]
)
def test_another_index_of_the_same_name_is_left_to_a_person(
    reconciled: Database[Document], options: dict[str, Any]
) -> None:
    reconciled.fixes.drop_index(NEW_FIXES)
    key = options.pop("key", [("slice", 1), ("received_at", 1)])
    reconciled.fixes.create_indexes([IndexModel(key, name=NEW_FIXES, **options)])
    assert reconcile(reconciled) == [
        f"fixes has another index named {NEW_FIXES}: drop it and run `locctl init` again"
    ]


def test_an_unknown_index_stays(reconciled: Database[Document]) -> None:
    reconciled.minutes.create_index("minute")
    assert reconcile(reconciled) == []
    assert "minute_1" in reconciled.minutes.index_information()


def test_a_collection_that_is_not_clustered_is_left_to_a_person(
    empty: Database[Document],
) -> None:
    empty.create_collection("minutes")
    reconcile(empty)
    assert reconcile(empty) == [
        "minutes is not clustered by _id, so exports are slower: dump, drop and restore it"
    ]


@pytest.mark.parametrize("changed", [{"validator": {"lat": 1}}, {"validationAction": "warn"}])
def test_another_validator_is_replaced(
    reconciled: Database[Document], changed: dict[str, Any]
) -> None:
    reconciled.command({"collMod": "fixes", **changed})
    assert reconcile(reconciled) == ["fixes has another validator (repaired)"]
    assert reconcile(reconciled) == []


@pytest.mark.usefixtures("no_wait")
def test_everything_that_locapi_writes_passes_the_validators(
    reconciled: Database[Document], send: Send
) -> None:
    for second in range(3):
        send(f"2017-01-01 13:05:0{second}", accuracy=1e308)  # their sum is infinite
        fold_new_fixes(reconciled)
    assert prune.prune(reconciled, timedelta(0)).deleted == 3
    send("2017-01-01 13:05:09")
    fold_new_fixes(reconciled)
    assert list(verify(reconciled, Report())) == []
    assert reconciled.minutes.find_one({}, {"count": 1, "_id": 0}) == {"count": 4}


@pytest.mark.parametrize(
    "change",
    [
        {"lat": "40.7"},
        {"seen_code": 1.5},
        {"received_at": None},
        {"fix_time": "noon"},
        {"slice": None},
    ],
)
def test_a_fix_of_another_shape_is_refused(
    reconciled: Database[Document], send: Send, change: dict[str, Any]
) -> None:
    send()
    (fix,) = reconciled.fixes.find()
    reconciled.fixes.insert_one({**fix, "_id": "as it was", "further": 7})
    with pytest.raises(WriteError, match="failed validation"):
        reconciled.fixes.insert_one({**fix, "_id": "changed", **change})
    (name,) = change
    del fix[name]
    with pytest.raises(WriteError, match="failed validation"):
        reconciled.fixes.insert_one({**fix, "_id": "without"})


def test_a_document_that_broke_the_rules_before_may_still_be_updated(
    db: Database[Document],
) -> None:
    db.minutes.insert_one({"_id": "odd"})
    reconcile(db)
    assert db.minutes.update_one({"_id": "odd"}, {"$set": {"count": 1}}).modified_count == 1


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """The URI of a mongod that asks for a password, with a place for the user's name."""
    with running_with_root(tmp_path, "r") as (host, client):
        for name, roles in (("api", ["readWrite"]), ("init", ["dbAdmin"])):
            client.locapi.command("createUser", name, pwd="p", roles=roles)
        client.locapi.command("createRole", "locapi", privileges=rights.of_containers(), roles=[])
        client.locapi.command("createUser", "compose", pwd="p", roles=["locapi"])
        yield f"mongodb://{{}}:p@{host}/?directConnection=true&authSource=locapi"


def test_a_missing_role_is_named(guarded: str) -> None:
    with mongo.open_database(Settings(mongodb_uri=guarded.format("api"))) as database:
        with pytest.raises(DatabaseRefused, match="a user with the role dbAdmin"):
            reconcile(database)
    with mongo.open_database(Settings(mongodb_uri=guarded.format("init"))) as database:
        reconcile(database)
        assert reconcile(database, check=True) == []


def test_the_user_of_the_containers_has_all_rights_that_it_needs(guarded: str) -> None:
    with mongo.open_database(Settings(mongodb_uri=guarded.format("compose"))) as database:
        assert reconcile(database) == [f"{each} (repaired)" for each in ALL]
        assert reconcile(database) == []


@pytest.fixture
def sharded(mongos: Mongos) -> Iterator[Database[Document]]:
    with mongo.open_database(Settings(mongodb_uri=mongos.uri, database="sharded")) as database:
        yield database
        database.client.drop_database(database.name)
        database.client["config"]["collections"].delete_many({})


def test_a_router_is_asked_to_shard_fixes_and_minutes_by_exactly_their_id(
    mongos: Mongos, sharded: Database[Document]
) -> None:
    before = len(mongos.commands)
    assert [each for each in reconcile(sharded) if "shard" in each] == [
        "fixes is not sharded by {_id: 1} (repaired)",
        "minutes is not sharded by {_id: 1} (repaired)",
    ]
    assert [
        (command["$db"], command["shardCollection"], command["key"], command.get("unique"))
        for command in mongos.commands[before:]
        if "shardCollection" in command
    ] == [
        ("admin", "sharded.fixes", {"_id": 1}, None),
        ("admin", "sharded.minutes", {"_id": 1}, None),
    ]
    assert reconcile(sharded) == []


def test_a_collection_that_is_sharded_by_another_key_is_left_to_a_person(
    sharded: Database[Document],
) -> None:
    reconcile(sharded)
    hashed = {"$set": {"key": {"_id": "hashed"}}}
    sharded.client["config"]["collections"].update_one({"_id": "sharded.fixes"}, hashed)
    assert reconcile(sharded) == [
        "fixes is sharded by {_id: hashed}: change that to {_id: 1} with reshardCollection"
    ]


def test_a_collection_that_a_router_lists_unsharded_is_not_taken_for_sharded(
    sharded: Database[Document],
) -> None:
    entry = {"_id": "sharded.fixes", "unsplittable": True, "key": {"_id": 1}}
    sharded.client["config"]["collections"].insert_one(entry)
    assert "fixes is not sharded by {_id: 1}" in reconcile(sharded, check=True)
