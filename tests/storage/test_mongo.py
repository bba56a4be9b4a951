"""Opening the database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo.database import Database

from locapi.errors import DatabaseRefused, Misconfigured
from locapi.settings import Settings
from locapi.storage import collections, mongo, read_points
from locapi.storage.documents import Document


@pytest.mark.parametrize(
    "uri", ["mongodb://", "mongodb://u:p@ss@db.example", "mongodb://db.example:99999", "mongo://db"]
)
def test_an_invalid_uri_is_refused_without_showing_it(uri: str) -> None:
    with pytest.raises(Misconfigured, match="MONGODB_URI cannot be used") as caught:
        with mongo.open_database(Settings(mongodb_uri=uri)):
            pass
    assert "p@ss" not in str(caught.value)


def test_an_invalid_name_is_refused(mongodb_uri: str) -> None:
    with pytest.raises(Misconfigured, match="LOCAPI_DATABASE cannot be used"):
        with mongo.open_database(Settings(mongodb_uri=mongodb_uri, database="a b")):
            pass


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
        read_points.majority_read_time(database)
        assert "s3cret" not in repr(settings) + repr(database)


def test_a_wrong_password_is_refused_without_showing_it(user_uri: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret:/?#")
    settings = Settings(mongodb_uri=user_uri, mongodb_password_file=file)
    with mongo.open_database(settings) as database:
        with pytest.raises(DatabaseRefused, match=r"does not accept the credentials") as caught:
            read_points.majority_read_time(database)
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
def test_an_unusable_password_file_is_refused(
    tmp_path: Path, content: bytes | None, uri: str, reason: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Misconfigured, match=reason) as caught:
        with mongo.open_database(Settings(mongodb_uri=uri, mongodb_password_file=file)):
            pass
    assert "s3cret" not in str(caught.value)


def test_writes_wait_for_a_majority_and_reads_see_only_what_it_has(db: Database[Document]) -> None:
    for wanted in collections.COLLECTIONS:
        assert db[wanted.name].write_concern.document == {"w": "majority", "j": True}
        assert db[wanted.name].read_concern.document == {"level": "majority"}
