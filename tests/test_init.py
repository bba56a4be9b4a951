"""The database becomes what the layout says, and each difference is told."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import IndexModel, MongoClient
from pymongo.database import Database
from pymongo.errors import WriteError

from locapi import fixes, layout, mongo, prune
from locapi.errors import DatabaseRefused
from locapi.init import bring_about
from locapi.mongo import Document
from locapi.rollup import roll_up
from locapi.settings import Settings
from locapi.verify import Report, verify
from tests.conftest import ROOT, Send
from tests.mongos import Mongos
from tests.test_faults import running

ALL = [
    "fixes is not there",
    "fixes has no validator",
    "fixes has no index slice_1_received_at_1",
    "fixes has no index user_id_1_fix_time_1",
    "minutes is not there",
    "minutes has no validator",
    "minutes has no index missing_1",
    "watermarks is not there",
    "erasures is not there",
    "tokens is not there",
    "tokens has no index user_id_1",
]


def told(database: Database[Document], *, check: bool = False) -> list[str]:
    return [
        f"{each.collection} {each.what}{' (mended)' if each.mended else ''}"
        for each in bring_about(database, check=check)
    ]


@pytest.fixture
def new(db: Database[Document]) -> Database[Document]:
    """A database in which nothing was made."""
    db.client.drop_database(db.name)
    return db


def test_all_is_made_once_and_each_thing_is_told(new: Database[Document]) -> None:
    assert told(new) == [f"{each} (mended)" for each in ALL]
    assert told(new) == []
    assert set(new.list_collection_names()) == {each.name for each in layout.COLLECTIONS}


def test_a_check_tells_the_same_and_changes_nothing(new: Database[Document]) -> None:
    assert told(new, check=True) == ALL
    assert new.list_collection_names() == []


def test_what_an_api_has_made_lacks_but_validators_and_empty_collections(
    db: Database[Document],
) -> None:
    assert told(db, check=True) == [
        "fixes has no validator",
        "minutes has no validator",
        "watermarks is not there",
        "erasures is not there",
    ]


def test_several_at_once_make_all_and_do_not_mind_each_other(new: Database[Document]) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(told, [new] * 4))
    assert told(new, check=True) == []


@pytest.fixture
def made(db: Database[Document]) -> Database[Document]:
    told(db)
    return db


def test_an_index_that_was_dropped_is_made_again(made: Database[Document]) -> None:
    made.fixes.drop_index("slice_1_received_at_1")
    assert told(made) == ["fixes has no index slice_1_received_at_1 (mended)"]
    assert told(made) == []


@pytest.mark.parametrize(
    "options", [{"sparse": True}, {"key": [("slice", 1), ("received_at", -1)]}]
)
def test_another_index_by_the_same_name_is_left_to_a_person(
    made: Database[Document], options: dict[str, Any]
) -> None:
    made.fixes.drop_index("slice_1_received_at_1")
    key = options.pop("key", [("slice", 1), ("received_at", 1)])
    made.fixes.create_indexes([IndexModel(key, name="slice_1_received_at_1", **options)])
    assert told(made) == [
        "fixes has another index by the name of slice_1_received_at_1: drop it, and do this again"
    ]


def test_an_index_of_the_operators_own_stays(made: Database[Document]) -> None:
    made.minutes.create_index("minute")
    assert told(made) == []
    assert "minute_1" in made.minutes.index_information()


@pytest.mark.parametrize("changed", [{"validator": {"lat": 1}}, {"validationAction": "warn"}])
def test_another_validator_is_replaced(made: Database[Document], changed: dict[str, Any]) -> None:
    made.command({"collMod": "fixes", **changed})
    assert told(made) == ["fixes has another validator (mended)"]
    assert told(made) == []


def test_minutes_that_were_made_plain_stay_and_are_told_as_harmless(
    new: Database[Document],
) -> None:
    new.create_collection("minutes")
    told(new)
    [difference] = bring_about(new)
    assert (difference.collection, difference.harmless) == ("minutes", True)
    assert "not stored in the order of its key" in difference.what


def test_what_is_sent_folded_and_pruned_passes_the_validators(
    made: Database[Document], send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (fixes, prune):
        monkeypatch.setattr(module, "HORIZON_TRUST_S", 0.0)
    for second in range(3):
        send(f"2017-01-01 13:05:0{second}", accuracy=1e308)  # their sum is infinite
        roll_up(made)
    assert prune.prune(made, timedelta(0)).deleted == 3
    send("2017-01-01 13:05:09")
    roll_up(made)
    assert list(verify(made, Report())) == []
    assert made.minutes.find_one({}, {"count": 1, "_id": 0}) == {"count": 4}


@pytest.mark.parametrize(
    "change", [{"lat": "40.7"}, {"mark": 1.5}, {"received_at": None}, {"fix_time": "noon"}]
)
def test_a_fix_of_another_form_is_refused(
    made: Database[Document], send: Send, change: dict[str, Any]
) -> None:
    send()
    (fix,) = made.fixes.find()
    made.fixes.insert_one({**fix, "_id": "as it was", "slice": 7})
    with pytest.raises(WriteError, match="failed validation"):
        made.fixes.insert_one({**fix, "_id": "changed", **change})
    del fix["tz"]
    with pytest.raises(WriteError, match="failed validation"):
        made.fixes.insert_one({**fix, "_id": "without"})


def test_a_document_of_before_that_breaks_the_rules_may_still_be_changed(
    db: Database[Document],
) -> None:
    db.minutes.insert_one({"_id": "odd"})
    told(db)
    assert db.minutes.update_one({"_id": "odd"}, {"$set": {"count": 1}}).modified_count == 1


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """A mongod that asks for a password: the URI for a user, with a place for name and password."""
    with running(tmp_path, "--auth") as host:
        with MongoClient[Document](f"mongodb://{host}/?directConnection=true") as client:
            client.admin.command("createUser", "root", pwd="r", roles=["root"])
        with MongoClient[Document](f"mongodb://root:r@{host}/?directConnection=true") as client:
            for name, roles in (("api", ["readWrite"]), ("init", ["dbAdmin"])):
                client.locapi.command("createUser", name, pwd="p", roles=roles)
            client.locapi.command("createRole", "locapi", privileges=of_compose(), roles=[])
            client.locapi.command("createUser", "compose", pwd="p", roles=["locapi"])
        yield f"mongodb://{{}}:p@{host}/?directConnection=true&authSource=locapi"


def of_compose() -> list[Document]:
    """Return the rights that the containers' user is given."""
    script = (ROOT / "docker" / "ready.js").read_text()
    rights = re.findall(r"^  ([a-z]+): (\[\"[a-z].*?\]),", script, re.MULTILINE)
    [also] = re.findall(r"\.\.\.actions, (.*?)\]", script)
    [of_all] = re.findall(r'collection: "" \}, actions: (\[.*?\])', script)
    collections = {name: [*json.loads(own), *json.loads(f"[{also}]")] for name, own in rights}
    return [
        {"resource": {"db": "locapi", "collection": name}, "actions": actions}
        for name, actions in {**collections, "": json.loads(of_all)}.items()
    ]


def test_who_lacks_the_rights_is_told_which(guarded: str) -> None:
    with mongo.open_database(Settings(mongodb_uri=guarded.format("api"))) as database:
        with pytest.raises(DatabaseRefused, match="a user with the role dbAdmin"):
            told(database)
    with mongo.open_database(Settings(mongodb_uri=guarded.format("init"))) as database:
        told(database)
        assert told(database, check=True) == []


def test_the_containers_user_may_do_it(guarded: str) -> None:
    with mongo.open_database(Settings(mongodb_uri=guarded.format("compose"))) as database:
        assert told(database) == [f"{each} (mended)" for each in ALL]
        assert told(database) == []


@pytest.fixture
def sharded(mongos: Mongos) -> Iterator[Database[Document]]:
    with mongo.open_database(Settings(mongodb_uri=mongos.uri, database="parted")) as database:
        yield database
        database.client.drop_database(database.name)
        database.client["config"]["collections"].delete_many({})


def test_a_router_is_asked_to_shard_fixes_and_minutes_by_exactly_their_key(
    mongos: Mongos, sharded: Database[Document]
) -> None:
    before = len(mongos.commands)
    assert [each for each in told(sharded) if "shard" in each] == [
        "fixes is not sharded by {_id: 1} (mended)",
        "minutes is not sharded by {_id: 1} (mended)",
    ]
    assert [
        (command["$db"], command["shardCollection"], command["key"], command.get("unique"))
        for command in mongos.commands[before:]
        if "shardCollection" in command
    ] == [
        ("admin", "parted.fixes", {"_id": 1}, None),
        ("admin", "parted.minutes", {"_id": 1}, None),
    ]
    assert told(sharded) == []


def test_a_collection_that_is_sharded_otherwise_is_left_to_a_person(
    sharded: Database[Document],
) -> None:
    told(sharded)
    hashed = {"$set": {"key": {"_id": "hashed"}}}
    sharded.client["config"]["collections"].update_one({"_id": "parted.fixes"}, hashed)
    assert told(sharded) == [
        "fixes is sharded by {_id: hashed}: mend that with reshardCollection to {_id: 1}"
    ]


def test_a_collection_that_a_router_only_notes_is_not_taken_for_sharded(
    sharded: Database[Document],
) -> None:
    noted = {"_id": "parted.fixes", "unsplittable": True, "key": {"_id": 1}}
    sharded.client["config"]["collections"].insert_one(noted)
    assert "fixes is not sharded by {_id: 1}" in told(sharded, check=True)


def test_no_replica_set_is_asked_to_shard(db: Database[Document]) -> None:
    assert not [each for each in told(db, check=True) if "shard" in each]
