"""What could not be accepted is kept for a while, bounded, and goes when its user is erased."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from pymongo.database import Database

from locapi.api.app import create_app
from locapi.errors import InvalidFix
from locapi.ingest import rejects
from locapi.ingest.rejects import Reject, RejectStore
from locapi.rollup.erase import erase, is_known
from locapi.settings import Settings
from locapi.storage.documents import Document
from tests.conftest import Commands, a_fix

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAULT = InvalidFix("lat: must be a number", {"lat": ["must be a number"]})


@pytest.fixture
def store(db: Database[Document]) -> RejectStore:
    return RejectStore(db, 30, lambda: NOW)


def reject(user_id: str = "a1", content: Any = 7) -> Reject:
    return Reject(user_id, content, FAULT)


def test_a_reject_says_what_was_sent_why_when_and_by_whom(
    db: Database[Document], store: RejectStore
) -> None:
    store.keep("overland", [reject(content={"lat": "x\0\ud800"})])
    (found,) = rejects.find(db)
    found.pop("_id")
    assert found == {
        "user_id": "a1",
        "endpoint": "overland",
        "received_at": NOW,
        "expires_at": NOW + timedelta(days=30),
        "reason": "lat: must be a number",
        "fields": ["lat"],
        "content": '{"lat": "x\\u0000\\ud800"}',
    }


def test_the_database_deletes_a_reject_when_it_expires(db: Database[Document]) -> None:
    indexes = [index for index in db.rejects.list_indexes() if "expires_at" in index["key"]]
    assert [index["expireAfterSeconds"] for index in indexes] == [0]


def test_the_same_reject_again_is_kept_once(db: Database[Document], store: RejectStore) -> None:
    store.keep("overland", [reject(), reject(), reject(content=8)])
    store.keep("overland", [reject()])
    assert len([*rejects.find(db)]) == 2


def test_rejects_of_a_user_and_a_day_are_bounded(
    db: Database[Document], store: RejectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejects, "MAX_A_DAY", 3)
    store.keep("overland", [reject(content=number) for number in range(5)])
    store.keep("overland", [reject(content="x"), reject("a")])
    assert len([*rejects.find(db, "a1")]) == 3
    assert len([*rejects.find(db, "a")]) == 1


def test_content_is_cut(db: Database[Document], store: RejectStore) -> None:
    store.keep("overland", [reject(content=b"x" * 2**20)])
    (found,) = rejects.find(db)
    assert len(found["content"]) == 8 * 1024


def test_rejects_are_read_in_batches(
    watched: Database[Document], store: RejectStore, commands: Commands
) -> None:
    store.keep("overland", [reject(content=number) for number in range(300)])
    found = rejects.find(watched)
    next(found)
    assert "getMore" not in commands.names
    assert len([*found]) == 299
    assert "getMore" in commands.names


def test_erase_removes_rejects_of_its_user_only(db: Database[Document], store: RejectStore) -> None:
    store.keep("overland", [reject(), reject("a11"), reject("")])
    assert is_known(db, "a1")
    erase(db, "a1")
    assert not is_known(db, "a1")
    assert sorted(each["user_id"] for each in rejects.find(db)) == ["", "a11"]


def put_and_post(api: FlaskClient) -> None:
    assert api.put("/location", json=a_fix(lat=91)).status_code == 400
    assert api.put("/location", data=b"{").status_code == 400
    batch = api.post("/locations", json=[a_fix(), a_fix(speed="x"), 7])
    assert batch.get_json()["invalid"] == 2


@pytest.mark.parametrize(("keep", "kept"), [("apps", 0), ("all", 4)])
def test_rejects_of_clients_that_get_400_are_kept_on_request(
    db: Database[Document], keep: str, kept: int
) -> None:
    put_and_post(create_app(Settings(keep_rejects=keep), db).test_client())
    found = [*rejects.find(db)]
    assert len(found) == kept
    assert {each["endpoint"] for each in found} <= {"location", "locations"}
    assert {each["user_id"] for each in found} <= {"", "a1"}
