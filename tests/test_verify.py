"""Every minute is what its raw fixes prove, or it is told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Timestamp
from pymongo.database import Database

from locapi.mongo import Document
from locapi.prune import prune
from locapi.rollup import roll_up
from locapi.verify import Drift, Report, verify
from tests.conftest import Send

MINUTE = "a1\t2017-01-01T18:05"


def found(db: Database[Document], *, repair: bool = False) -> list[Drift]:
    return list(verify(db, Report(), repair=repair))


@pytest.fixture
def rolled_up(db: Database[Document], send: Send) -> Database[Document]:
    """Two fixes in one minute, folded and due."""
    send("2017-01-01 13:05:01", lat=10.0)
    send("2017-01-01 13:05:02", lat=20.0)
    hour_ago = Timestamp(datetime.now(UTC) - timedelta(hours=1), 1)
    db.fixes.update_many({}, {"$set": {"received_at": hour_ago}})
    roll_up(db)
    return db


def test_what_is_right_is_counted_and_not_told(rolled_up: Database[Document], send: Send) -> None:
    send("2017-01-01 13:05:03")  # not folded, and not due
    send("2017-01-01 13:09:03")
    report = Report()
    assert list(verify(rolled_up, report)) == []
    assert report == Report(fixes=4, minutes=1, proven=1)


def test_a_minute_whose_fixes_were_pruned_is_checked_but_not_proven(
    rolled_up: Database[Document],
) -> None:
    prune(rolled_up, timedelta(0))
    report = Report()
    assert list(verify(rolled_up, report)) == []
    assert report == Report(fixes=0, minutes=1, proven=0)


MENDABLE = [
    ({"$set": {"lat": 15.1}}, "has lat 15.1; it should be 15.0"),
    ({"$set": {"lat_sum": 31.0, "lat": 15.5}}, "has lat_sum 31.0; it should be 30.0"),
    ({"$set": {"long_max": 170.0}}, "has long_max 170.0; it should be -74.0"),
    ({"$set": {"west": 0}}, "has west 0; it should be 2"),
    ({"$set": {"count": 3}}, "counts 3 fixes and remembers 2"),
    ({"$push": {"seen": 7}, "$inc": {"count": 1}}, "counts 1 fixes that are not there"),
    ({"$pop": {"seen": 1}, "$inc": {"count": -1}}, "does not count 1 of its fixes"),
    ({"$push": {"seen": 7}}, "counts 2 fixes and remembers 3"),
]


@pytest.mark.parametrize(("damage", "fault"), MENDABLE, ids=[fault for _, fault in MENDABLE])
def test_a_drift_is_told_and_mended_from_the_raw_fixes(
    rolled_up: Database[Document], damage: dict[str, Any], fault: str
) -> None:
    whole = list(rolled_up.minutes.find())
    rolled_up.minutes.update_one({"_id": MINUTE}, damage)
    assert found(rolled_up) == [Drift(MINUTE, fault, repaired=False)]
    assert found(rolled_up, repair=True) == [Drift(MINUTE, fault, repaired=True)]
    assert found(rolled_up) == []
    assert list(rolled_up.minutes.find()) == whole


def test_a_minute_that_is_lost_is_made_anew(rolled_up: Database[Document]) -> None:
    whole = list(rolled_up.minutes.find())
    rolled_up.minutes.delete_many({})
    told = Drift(MINUTE, "has no minute for its 2 fixes", repaired=True)
    assert found(rolled_up, repair=True) == [told]
    assert list(rolled_up.minutes.find()) == whole


def test_a_minute_without_any_fix_is_removed_where_nothing_was_pruned(
    rolled_up: Database[Document],
) -> None:
    rolled_up.fixes.delete_many({})
    told = Drift(MINUTE, "counts 2 fixes that are not there", repaired=True)
    assert found(rolled_up, repair=True) == [told]
    assert rolled_up.minutes.find_one() is None


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ({"$set": {"lat": 15.1}}, "has lat 15.1; it should be 15.0"),
        ({"$set": {"count": 3}}, "counts 3 fixes and remembers 2"),
    ],
)
def test_what_pruned_fixes_no_longer_prove_is_told_and_left(
    rolled_up: Database[Document], damage: dict[str, Any], fault: str
) -> None:
    prune(rolled_up, timedelta(0))
    rolled_up.minutes.update_one({"_id": MINUTE}, damage)
    damaged = list(rolled_up.minutes.find())
    assert found(rolled_up, repair=True) == [Drift(MINUTE, fault, repaired=False)]
    assert list(rolled_up.minutes.find()) == damaged


def test_a_late_fix_that_was_never_folded_is_mended_also_after_pruning(
    rolled_up: Database[Document], send: Send
) -> None:
    prune(rolled_up, timedelta(0))
    send("2017-01-01 13:05:03", lat=30.0)
    hour_ago = Timestamp(datetime.now(UTC) - timedelta(hours=1), 1)
    rolled_up.fixes.update_many({}, {"$set": {"received_at": hour_ago}})
    told = Drift(MINUTE, "does not count 1 of its fixes", repaired=True)
    assert found(rolled_up, repair=True) == [told]
    assert [(minute["count"], minute["lat"]) for minute in rolled_up.minutes.find()] == [(3, 20.0)]


def test_a_repeat_that_slipped_in_raw_proves_nothing_against_the_first_copy(
    rolled_up: Database[Document],
) -> None:
    raws = list(rolled_up.fixes.find())
    prune(rolled_up, timedelta(0))
    whole = list(rolled_up.minutes.find())
    later = Timestamp(datetime.now(UTC) + timedelta(minutes=1), 0)
    rolled_up.fixes.insert_many({**raw, "lat": 1.0, "received_at": later} for raw in raws)
    assert found(rolled_up, repair=True) == []
    assert list(rolled_up.minutes.find()) == whole


def test_users_are_walked_in_the_order_of_both_collections(
    db: Database[Document], send: Send
) -> None:
    for user_id in ("a", "a b", "aa", "A", "ä", "😀", "\ufffd", "a-b"):
        for minute in range(3):
            send(f"2017-01-01 13:0{minute}:00", user_id=user_id)
    roll_up(db)
    report = Report()
    assert list(verify(db, report)) == []
    assert report == Report(fixes=24, minutes=24, proven=24)


def test_a_straddling_minute_and_huge_values_are_right(db: Database[Document], send: Send) -> None:
    for second, long in enumerate((179.9, -179.9, 180.0, -180.0)):
        send(f"2017-01-01 13:05:0{second}", lat=0, long=long, accuracy=1.7e308)
    roll_up(db)
    assert found(db) == []
