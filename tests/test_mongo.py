"""Reaching the database."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pymongo.database import Database
from pymongo.errors import (
    CursorNotFound,
    DuplicateKeyError,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from locapi import mongo
from locapi.app import create_app
from locapi.errors import DatabaseRefused, DatabaseUnavailable, Misconfigured
from locapi.mongo import Document
from locapi.rollup import roll_up
from locapi.settings import Settings
from tests.conftest import ROOT, a_fix
from tests.mongos import Mongos


@pytest.mark.parametrize(
    "uri", ["mongodb://", "mongodb://u:p@ss@db.example", "mongodb://db.example:99999", "mongo://db"]
)
def test_a_uri_that_cannot_be_used_is_refused_without_showing_it(uri: str) -> None:
    with pytest.raises(Misconfigured, match="MONGODB_URI cannot be used") as caught:
        with mongo.open_database(Settings(mongodb_uri=uri)):
            pass
    assert "p@ss" not in str(caught.value)


@pytest.fixture
def user_uri(db: Database[Document], mongodb_uri: str) -> Iterator[str]:
    db.command("createUser", "locapi", pwd="s3cret:/?#@", roles=[])
    yield mongodb_uri.replace("://", "://locapi@", 1) + f"&authSource={db.name}"
    db.command("dropUser", "locapi")


@pytest.mark.parametrize("text", ["s3cret:/?#@", "s3cret:/?#@\n"])
def test_the_password_is_read_from_its_file(user_uri: str, tmp_path: Path, text: str) -> None:
    file = tmp_path / "password"
    file.write_text(text)
    settings = Settings(mongodb_uri=user_uri, mongodb_password_file=file)
    with mongo.open_database(settings) as database:
        mongo.settled_time(database)
        assert "s3cret" not in repr(settings) + repr(database)


def test_a_wrong_password_is_refused_without_showing_it(user_uri: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret:/?#")
    with mongo.open_database(
        Settings(mongodb_uri=user_uri, mongodb_password_file=file)
    ) as database:
        with pytest.raises(DatabaseRefused, match=r"does not accept the credentials") as caught:
            mongo.settled_time(database)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "uri", "reason"),
    [
        (None, "mongodb://locapi@db.example", r"cannot be read \(No such file or directory\)"),
        (b"s3cret\xff", "mongodb://locapi@db.example", r"cannot be read \(not UTF-8\)"),
        (b"\n", "mongodb://locapi@db.example", "must hold the password and nothing else"),
        (b"s3cret\nmore\n", "mongodb://locapi@db.example", "nothing else, on one line"),
        (b"s3cret", "mongodb://db.example", "names no user for LOCAPI_MONGODB_PASSWORD_FILE"),
    ],
)
def test_a_password_file_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes | None, uri: str, reason: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Misconfigured, match=reason) as caught:
        with mongo.open_database(Settings(mongodb_uri=uri, mongodb_password_file=file)):
            pass
    assert "s3cret" not in str(caught.value)


def test_the_containers_user_has_rights_on_every_collection() -> None:
    collections = {
        name for key, name in vars(mongo).items() if key.isupper() and isinstance(name, str)
    }
    rights = re.search(
        r"const rights = \{\n(.*?)\n\};", (ROOT / "docker" / "ready.js").read_text(), re.DOTALL
    )
    assert rights
    assert set(re.findall(r"^  (\w+): \[", rights[1], re.MULTILINE)) == collections


def test_a_name_that_cannot_be_used_is_refused(mongodb_uri: str) -> None:
    with pytest.raises(Misconfigured, match="LOCAPI_DATABASE cannot be used"):
        with mongo.open_database(Settings(mongodb_uri=mongodb_uri, database="a b")):
            pass


def test_a_database_that_is_not_there_is_said_in_one_sentence() -> None:
    uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"
    with mongo.open_database(Settings(mongodb_uri=uri)) as database:
        with pytest.raises(DatabaseUnavailable) as caught:
            mongo.prepare(database)
    assert str(caught.value) == (
        "the database does not answer (127.0.0.1:1: [Errno 111] Connection refused); "
        "see that it runs and that MONGODB_URI names it"
    )


@pytest.mark.parametrize(
    ("failure", "wanted"),
    [
        (ServerSelectionTimeoutError("x"), DatabaseUnavailable),
        (NotPrimaryError("x"), DatabaseUnavailable),
        (WTimeoutError("x", 64, {"errmsg": "x"}), DatabaseUnavailable),
        (OperationFailure("x", 50, {"errmsg": "x", "code": 50}), DatabaseUnavailable),
        # What a roll-up meets when the primary steps down under it.
        (WriteConcernError("x", 11602, {"errmsg": "x", "code": 11602}), DatabaseUnavailable),
        (OperationFailure("x", 11601, {"errmsg": "x", "code": 11601}), DatabaseUnavailable),
        (CursorNotFound("x", 43, {"errmsg": "x", "code": 43}), DatabaseUnavailable),
        (OperationFailure("x", 13, {"errmsg": "x", "code": 13}), DatabaseRefused),
        (DuplicateKeyError("x"), DatabaseRefused),
    ],
)
def test_a_driver_error_becomes_one_of_ours(failure: PyMongoError, wanted: type) -> None:
    with pytest.raises(wanted), mongo.translated_errors():
        raise failure


def test_indexes_are_made_once_and_may_be_asked_for_again(db: Database[Document]) -> None:
    mongo.prepare(db)
    assert {
        name: sorted(db[name].index_information()) for name in (mongo.FIXES, mongo.MINUTES)
    } == {
        "fixes": ["_id_", "slice_1_received_at_1", "user_id_1_fix_time_1"],
        "minutes": ["_id_", "missing_1"],
    }


def test_who_is_not_patient_leaves_the_indexes_of_large_collections(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo, "LARGE", 1)
    db.fixes.insert_many([{"_id": each} for each in ("a", "b")])
    for name in (mongo.FIXES, mongo.TOKENS):
        db[name].drop_indexes()
    mongo.prepare(db, patient=False)
    assert sorted(db.fixes.index_information()) == ["_id_"]
    assert sorted(db.tokens.index_information()) == ["_id_", "user_id_1"]
    mongo.prepare(db)
    assert "slice_1_received_at_1" in db.fixes.index_information()


def test_an_api_is_not_patient(db: Database[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo, "LARGE", -1)
    db.client.drop_database(db.name)
    assert create_app(database=db).test_client().put("/location", json=a_fix()).status_code == 200
    assert sorted(db.fixes.index_information()) == ["_id_"]


def test_every_write_is_asked_to_be_on_disk_and_every_read_to_be_final(
    db: Database[Document],
) -> None:
    for name in (mongo.FIXES, mongo.MINUTES, mongo.WATERMARKS):
        assert db[name].write_concern.document == {"w": "majority", "j": True}
        assert db[name].read_concern.document == {"level": "majority"}


def test_settled_time_is_the_databases_clock(db: Database[Document]) -> None:
    assert abs(mongo.settled_time(db) - datetime.now(UTC)) < timedelta(seconds=30)


def test_behind_a_router_reads_wait_for_all_that_was_settled(
    mongos: Mongos,
) -> None:
    with mongo.open_database(Settings(mongodb_uri=mongos.uri, database="settled")) as database:
        before = database.command("ping")["$clusterTime"]["clusterTime"]
        settled = mongo.settled(database)
        assert settled.after is not None
        assert settled.after >= before
        assert settled.time == settled.after.as_datetime()
        seen = len(mongos.commands)
        roll_up(database)
        mongo.settled_time(database)
        database.client.drop_database(database.name)
    folds = [each for each in mongos.commands[seen:] if each.get("aggregate") == "fixes"]
    asked = [each for each in mongos.commands[seen:] if each.get("sort") == {"_id": -1}]
    assert folds
    assert len(asked) == 1  # of all shards, that each says it has come so far
    for read in (*folds, *asked):
        assert read["readConcern"]["level"] == "majority"
        assert read["readConcern"]["afterClusterTime"] >= settled.after
