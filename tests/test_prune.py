"""Old raw fixes go once their minute counts them."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from bson import Timestamp
from flask.testing import FlaskClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from locapi import fixes, prune, rollup, watermarks
from locapi.app import create_app
from locapi.mongo import Document
from locapi.prune import Pruned
from locapi.rollup import roll_up
from tests.conftest import Send, a_fix

ALL = timedelta(0)
WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process look at the horizon each time, so that no prune has to wait for it."""
    for module in (fixes, prune):
        monkeypatch.setattr(module, "HORIZON_TRUST_S", 0.0)


def received(db: Database[Document], ago: timedelta) -> None:
    db.fixes.update_many({}, {"$set": {"received_at": Timestamp(datetime.now(UTC) - ago, 1)}})


def averages(db: Database[Document]) -> list[tuple[str, int, float]]:
    return [
        (minute["_id"], minute["count"], minute["lat"]) for minute in db.minutes.find().sort("_id")
    ]


def test_only_what_was_received_long_enough_ago_goes(db: Database[Document], send: Send) -> None:
    for second in range(3):
        send(f"2017-01-01 13:05:0{second}")
    received(db, WEEK + timedelta(seconds=2))
    send("2017-01-01 13:05:03")
    looked_at: list[int] = []
    assert prune.prune(db, WEEK, progress=looked_at.append) == Pruned(
        deleted=3, unproven=0, newer=1
    )
    assert [fix["local_time"] for fix in db.fixes.find()] == ["2017-01-01 13:05:03"]
    assert sum(looked_at) == 3
    assert averages(db) == [("a1\t2017-01-01T18:05", 4, 40.7)]


def test_a_fix_goes_only_after_it_was_folded(db: Database[Document], send: Send) -> None:
    send(lat=10.0)
    assert prune.prune(db, ALL) == Pruned(deleted=1, unproven=0, newer=0)
    assert averages(db) == [("a1\t2017-01-01T18:05", 1, 10.0)]


def test_a_fix_that_the_watermark_has_passed_by_is_folded_before_it_goes(
    db: Database[Document], send: Send
) -> None:
    send("2017-01-01 13:05:01", lat=10.0)
    roll_up(db)
    send("2017-01-01 13:05:02", lat=20.0)
    received(db, 2 * rollup.MARGIN)
    assert prune.prune(db, ALL) == Pruned(deleted=2, unproven=0, newer=0)
    assert averages(db) == [("a1\t2017-01-01T18:05", 2, 15.0)]


def test_a_fix_that_is_not_proven_stays(
    db: Database[Document], send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    send()
    for name in ("roll_up", "fold_fixes"):
        monkeypatch.setattr(rollup, name, lambda *_: None)
    assert prune.prune(db, ALL) == Pruned(deleted=0, unproven=1, newer=0)
    assert db.fixes.count_documents({}) == 1


def test_a_dry_run_tells_and_changes_nothing(db: Database[Document], send: Send) -> None:
    send("2017-01-01 13:05:01")
    roll_up(db)
    send("2017-01-01 13:06:01")
    before = [list(db[name].find()) for name in ("fixes", "minutes", "watermarks")]
    assert prune.prune(db, ALL, dry_run=True) == Pruned(deleted=1, unproven=1, newer=0)
    assert [list(db[name].find()) for name in ("fixes", "minutes", "watermarks")] == before


def test_batches_join_without_a_gap(
    db: Database[Document], send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "_BATCH", 3)
    for second in range(10):
        send(f"2017-01-01 13:0{second % 4}:0{second}")
    assert prune.prune(db, ALL) == Pruned(deleted=10, unproven=0, newer=0)


def test_after_pruning_a_repeat_is_a_duplicate_and_a_late_fix_counts_once(
    db: Database[Document], send: Send
) -> None:
    first = send("2017-01-01 13:05:01.5", lat=10.0)
    prune.prune(db, ALL)
    repeat = send("2017-01-01 13:05:01.5", lat=11.0)
    assert repeat == {**first, "status": "duplicate"}
    assert db.fixes.count_documents({}) == 0
    for _ in range(2):
        send("2017-01-01 13:05:02", lat=20.0)
        prune.prune(db, ALL)
    assert averages(db) == [("a1\t2017-01-01T18:05", 2, 15.0)]


def test_a_repeat_of_the_repeated_hours_first_pass_is_a_duplicate_after_pruning(
    db: Database[Document], send: Send
) -> None:
    first = send("2017-11-05 01:30:00")
    send("2017-11-05 02:30:00")
    prune.prune(db, ALL)
    assert send("2017-11-05 01:30:00") == {**first, "status": "duplicate"}


def test_a_pruned_timestamp_from_another_offset_is_another_fix(
    db: Database[Document], send: Send
) -> None:
    send("2017-01-01 13:05:01")
    prune.prune(db, ALL)
    assert send("2017-01-01 13:05:01", lat=34.0, long=-118.2)["status"] == "stored"


def test_a_repeat_that_slips_in_raw_is_not_counted_again(
    db: Database[Document], send: Send
) -> None:
    send(lat=10.0)
    (raw,) = db.fixes.find()
    prune.prune(db, ALL)
    db.fixes.insert_one({**raw, "lat": 20.0, "received_at": Timestamp(0, 0)})
    roll_up(db)
    assert prune.prune(db, ALL) == Pruned(deleted=1, unproven=0, newer=0)
    assert averages(db) == [("a1\t2017-01-01T18:05", 1, 10.0)]


def test_a_prune_keeps_what_an_unfinished_erasure_needs(db: Database[Document], send: Send) -> None:
    send()
    bound = Timestamp(datetime.now(UTC) - timedelta(hours=1), 0)
    db.erasures.insert_one({"_id": "a1", "received_at": bound})
    assert prune.prune(db, ALL) == Pruned(deleted=0, unproven=0, newer=1)


def test_when_it_ended_and_what_it_deleted_is_noted_beside_the_horizon(
    db: Database[Document], send: Send
) -> None:
    send()
    prune.prune(db, ALL)
    entry = watermarks.entry(db, watermarks.PRUNED)
    assert entry["deleted"] == 1
    assert abs(entry["finished_at"] - datetime.now(UTC)) < timedelta(minutes=10)
    prune.prune(db, ALL)
    again = watermarks.entry(db, watermarks.PRUNED)
    assert again["deleted"] == 0
    assert again["finished_at"] >= entry["finished_at"]


def test_the_horizon_is_announced_and_never_taken_back(db: Database[Document]) -> None:
    prune.prune(db, ALL)
    announced = watermarks.read(db, watermarks.PRUNED)
    prune.prune(db, WEEK)
    assert watermarks.read(db, watermarks.PRUNED) == announced
    assert announced is not None
    assert abs(announced.as_datetime() - datetime.now(UTC)) < timedelta(seconds=10)


def test_a_horizon_that_could_not_be_read_is_read_again(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixes, "HORIZON_TRUST_S", 3600.0)
    store = fixes.FixStore(db)
    with mock.patch.object(watermarks, "read", side_effect=AutoReconnect), suppress(AutoReconnect):
        store._horizon()
    watermarks.write(db, watermarks.PRUNED, Timestamp(7, 0))
    assert store._horizon() == Timestamp(7, 0)


def test_a_fix_newer_than_the_horizon_costs_no_look_at_the_minutes(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixes, "HORIZON_TRUST_S", 3600.0)
    watermarks.write(db, watermarks.PRUNED, Timestamp(datetime.now(UTC) - WEEK, 0))
    client: FlaskClient = create_app(database=db).test_client()
    now = datetime.now(UTC) - timedelta(hours=12)

    def queries(timestamp: datetime) -> int:
        before: int = db.command("serverStatus")["opcounters"]["query"]
        client.put("/location", json=a_fix(timestamp=timestamp.strftime("%Y-%m-%d %H:%M:%S.%f")))
        after: int = db.command("serverStatus")["opcounters"]["query"]
        return after - before

    queries(now)  # reads the horizon
    assert queries(now + timedelta(seconds=1)) == 0
    assert queries(now - 2 * WEEK) == 2
