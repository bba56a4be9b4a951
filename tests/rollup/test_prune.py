"""Old raw fixes are deleted once their minute counts them."""

from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from bson import Timestamp
from flask.testing import FlaskClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from locapi.api.app import create_app
from locapi.rollup import fold, prune, watermarks
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.prune import Pruned
from locapi.storage.documents import Document
from tests.conftest import Commands, Send, a_fix

ALL = timedelta(0)
WEEK = timedelta(days=7)

pytestmark = pytest.mark.usefixtures("no_wait")


def received(db: Database[Document], ago: timedelta) -> None:
    db.fixes.update_many({}, {"$set": {"received_at": Timestamp(datetime.now(UTC) - ago, 1)}})


def averages(db: Database[Document]) -> list[tuple[str, int, float]]:
    return [
        (minute["_id"], minute["count"], minute["lat"]) for minute in db.minutes.find().sort("_id")
    ]


def test_only_fixes_received_long_enough_ago_are_deleted(
    db: Database[Document], send: Send
) -> None:
    for second in range(3):
        send(f"2017-01-01 13:05:0{second}")
    received(db, WEEK + timedelta(seconds=2))
    send("2017-01-01 13:05:03")
    assert prune.count_old(db, WEEK) == 3
    looked_at: list[int] = []
    horizon = prune.announce(db, WEEK)
    done = prune.delete_old(db, horizon, progress=looked_at.append)
    assert done == Pruned(deleted=3, unproven=0, newer=1)
    assert sum(looked_at) == 3
    assert [fix["local_time"] for fix in db.fixes.find()] == ["2017-01-01 13:05:03"]
    fold_new_fixes(db)
    assert averages(db) == [("a1\t2017-01-01T18:05", 4, 40.7)]


def test_a_fix_is_deleted_only_after_every_api_process_knows_the_horizon(
    db: Database[Document], send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watermarks, "HORIZON_TRUST_S", 30.0)
    send()
    slept: list[float] = []
    monkeypatch.setattr(prune, "time", mock.Mock(monotonic=lambda: 7.0, sleep=slept.append))
    prune.prune(db, ALL)
    assert slept == [60.0]


def test_a_fix_behind_the_watermark_is_folded_before_it_is_deleted(
    db: Database[Document], send: Send
) -> None:
    send("2017-01-01 13:05:01", lat=10.0)
    fold_new_fixes(db)
    send("2017-01-01 13:05:02", lat=20.0)
    received(db, 2 * fold.MARGIN)
    assert prune.prune(db, ALL) == Pruned(deleted=2, unproven=0, newer=0)
    assert averages(db) == [("a1\t2017-01-01T18:05", 2, 15.0)]


def test_a_fix_that_its_minute_does_not_count_is_kept(
    db: Database[Document], send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    send()
    for name in ("fold_new_fixes", "fold_fixes"):
        monkeypatch.setattr(fold, name, lambda *_: None)
    assert prune.prune(db, ALL) == Pruned(deleted=0, unproven=1, newer=0)
    assert db.fixes.count_documents({}) == 1


def test_a_preview_changes_nothing(db: Database[Document], send: Send) -> None:
    send("2017-01-01 13:05:01")
    fold_new_fixes(db)
    send("2017-01-01 13:06:01")
    before = [list(db[name].find()) for name in ("fixes", "minutes", "watermarks")]
    assert prune.preview(db, ALL) == Pruned(deleted=1, unproven=1, newer=0)
    assert [list(db[name].find()) for name in ("fixes", "minutes", "watermarks")] == before


def test_a_prune_keeps_what_an_unfinished_erasure_needs(db: Database[Document], send: Send) -> None:
    send()
    bound = Timestamp(datetime.now(UTC) - timedelta(hours=1), 0)
    db.erasures.insert_one({"_id": "a1", "received_at": bound})
    assert prune.prune(db, ALL) == Pruned(deleted=0, unproven=0, newer=1)


def test_the_end_of_a_prune_is_recorded_and_the_horizon_is_never_taken_back(
    db: Database[Document], send: Send
) -> None:
    send()
    prune.prune(db, ALL)
    first = watermarks.entry(db, watermarks.PRUNED)
    assert first["deleted"] == 1
    for time in (first["finished_at"], first["received_at"].as_datetime()):
        assert abs(time - datetime.now(UTC)) < timedelta(minutes=10)
    prune.prune(db, WEEK)
    second = watermarks.entry(db, watermarks.PRUNED)
    assert second["deleted"] == 0
    assert second["finished_at"] >= first["finished_at"]
    assert second["received_at"] == first["received_at"]


def test_a_horizon_that_could_not_be_read_is_read_again(
    db: Database[Document], send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    send()
    prune.prune(db, ALL)
    monkeypatch.setattr(watermarks, "HORIZON_TRUST_S", 3600.0)
    client: FlaskClient = create_app(database=db).test_client()
    with mock.patch.object(watermarks, "read", side_effect=AutoReconnect):
        assert client.put("/location", json=a_fix()).status_code == 500
    assert client.put("/location", json=a_fix()).get_json()["status"] == "duplicate"


def test_a_fix_newer_than_the_horizon_needs_no_look_at_the_minutes(
    watched: Database[Document], commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watermarks, "HORIZON_TRUST_S", 3600.0)
    watermarks.advance(watched, watermarks.PRUNED, Timestamp(datetime.now(UTC) - WEEK, 0))
    client: FlaskClient = create_app(database=watched).test_client()
    now = datetime.now(UTC) - timedelta(hours=12)

    def queries(timestamp: datetime) -> int:
        commands.names.clear()
        client.put("/location", json=a_fix(timestamp=timestamp.strftime("%Y-%m-%d %H:%M:%S.%f")))
        return commands.names.count("find")

    queries(now - 3 * WEEK)  # reads the horizon, and whether the database has elections
    assert queries(now + timedelta(seconds=1)) == 0
    assert queries(now - 2 * WEEK) == 2
