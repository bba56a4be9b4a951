"""Every minute is what its raw fixes prove, or it is reported."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Timestamp
from pymongo.database import Database

from locapi.rollup import verify as verification
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.prune import prune
from locapi.rollup.verify import Drift, Report, verify
from locapi.storage.documents import Document
from tests.conftest import Send
from tests.support.fixes import BASE, raw

MINUTE = "a1\t2017-01-01T18:05"


def drifts(db: Database[Document], *, repair: bool = False) -> list[Drift]:
    return list(verify(db, Report(), repair=repair))


def minutes(db: Database[Document]) -> list[Document]:
    """Return the minutes without the marks of their last changes."""
    return list(db.minutes.find({}, {"changed_at": 0}))


pytestmark = pytest.mark.usefixtures("no_wait")


@pytest.fixture
def rolled_up(db: Database[Document], send: Send) -> Database[Document]:
    """Two fixes in one minute, folded and due."""
    send("2017-01-01 13:05:01", lat=10.0)
    send("2017-01-01 13:05:02", lat=20.0)
    hour_ago = Timestamp(datetime.now(UTC) - timedelta(hours=1), 1)
    db.fixes.update_many({}, {"$set": {"received_at": hour_ago}})
    fold_new_fixes(db)
    return db


def test_right_minutes_are_counted(rolled_up: Database[Document], send: Send) -> None:
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


REPAIRABLE = [
    ({"$set": {"lat": 15.1}}, "has lat 15.1; it should be 15.0"),
    ({"$set": {"lat_sum": 31.0, "lat": 15.5}}, "has lat_sum 31.0; it should be 30.0"),
    ({"$set": {"long_max": 170.0}}, "has long_max 170.0; it should be -74.0"),
    ({"$set": {"speed": None}}, "has speed None; it should be 1.5"),
    ({"$set": {"speed_count": 1, "speed": 3.0}}, "has speed_count 1; it should be 2"),
    ({"$set": {"west": 0}}, "has west 0; it should be 2"),
    ({"$set": {"count": 3}}, "has the count 3, but 2 different seen codes"),
    ({"$push": {"seen": 7}, "$inc": {"count": 1}}, "counts fixes that are not stored: 1"),
    ({"$pop": {"seen": 1}, "$inc": {"count": -1}}, "does not count 1 of its fixes"),
    ({"$push": {"seen": 7}}, "has the count 2, but 3 different seen codes"),
]


@pytest.mark.parametrize(("damage", "fault"), REPAIRABLE, ids=[fault for _, fault in REPAIRABLE])
def test_a_drift_is_reported_and_repaired_from_the_raw_fixes(
    rolled_up: Database[Document], damage: dict[str, Any], fault: str
) -> None:
    whole = minutes(rolled_up)
    rolled_up.minutes.update_one({"_id": MINUTE}, damage)
    assert drifts(rolled_up) == [Drift(MINUTE, fault, repaired=False)]
    assert drifts(rolled_up, repair=True) == [Drift(MINUTE, fault, repaired=True)]
    assert drifts(rolled_up) == []
    assert minutes(rolled_up) == whole


def test_a_lost_minute_is_made_again(rolled_up: Database[Document]) -> None:
    whole = minutes(rolled_up)
    rolled_up.minutes.delete_many({})
    fault = "is missing, but has 2 raw fixes"
    assert drifts(rolled_up, repair=True) == [Drift(MINUTE, fault, repaired=True)]
    assert minutes(rolled_up) == whole


def test_a_minute_without_any_fix_is_removed_if_nothing_was_pruned(
    rolled_up: Database[Document],
) -> None:
    rolled_up.fixes.delete_many({})
    fault = "counts fixes that are not stored: 2"
    assert drifts(rolled_up, repair=True) == [Drift(MINUTE, fault, repaired=True)]
    assert rolled_up.minutes.find_one() is None


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ({"$set": {"lat": 15.1}}, "has lat 15.1; it should be 15.0"),
        ({"$set": {"count": 3}}, "has the count 3, but 2 different seen codes"),
    ],
)
def test_a_drift_is_left_if_the_fixes_that_prove_the_minute_were_pruned(
    rolled_up: Database[Document], damage: dict[str, Any], fault: str
) -> None:
    prune(rolled_up, timedelta(0))
    rolled_up.minutes.update_one({"_id": MINUTE}, damage)
    damaged = list(rolled_up.minutes.find())
    assert drifts(rolled_up, repair=True) == [Drift(MINUTE, fault, repaired=False)]
    assert list(rolled_up.minutes.find()) == damaged


def test_a_late_fix_that_was_never_folded_is_repaired_also_after_pruning(
    rolled_up: Database[Document], send: Send
) -> None:
    prune(rolled_up, timedelta(0))
    send("2017-01-01 13:05:03", lat=30.0)
    hour_ago = Timestamp(datetime.now(UTC) - timedelta(hours=1), 1)
    rolled_up.fixes.update_many({}, {"$set": {"received_at": hour_ago}})
    fault = "does not count 1 of its fixes"
    assert drifts(rolled_up, repair=True) == [Drift(MINUTE, fault, repaired=True)]
    assert [(minute["count"], minute["lat"]) for minute in rolled_up.minutes.find()] == [(3, 20.0)]


def test_repeat_of_a_pruned_fix_is_no_drift(
    rolled_up: Database[Document],
) -> None:
    raws = list(rolled_up.fixes.find())
    prune(rolled_up, timedelta(0))
    whole = minutes(rolled_up)
    later = Timestamp(datetime.now(UTC) + timedelta(minutes=1), 0)
    rolled_up.fixes.insert_many({**raw, "lat": 1.0, "received_at": later} for raw in raws)
    assert drifts(rolled_up, repair=True) == []
    assert minutes(rolled_up) == whole


def test_verify_leaves_no_gap_between_pages(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "PAGE_FIXES", 5)
    monkeypatch.setattr(verification, "PAGE_MINUTES", 2)
    for user_id in ("a", "b"):
        for minute in range(4):
            db.fixes.insert_many(
                {
                    **raw(60_000 * minute + ms, user_id, utc_offset=3600 * hours),
                    "user_id": user_id,
                    "fix_time": BASE + timedelta(minutes=minute, milliseconds=ms),
                }
                for ms in range(2)
                for hours in range(4)
            )
    fold_new_fixes(db)
    report = Report()
    assert list(verify(db, report)) == []
    assert report == Report(fixes=64, minutes=8, proven=8)


def test_all_users_are_checked_side_by_side(db: Database[Document], send: Send) -> None:
    for user_id in ("a", "a b", "aa", "A", "ä", "😀", "\ufffd", "a-b"):
        for minute in range(3):
            send(f"2017-01-01 13:0{minute}:00", user_id=user_id)
    # A minute across the antimeridian, with a sum beyond the largest double.
    for second, long in enumerate((179.99, -179.99, 180.0, -180.0)):
        send(f"2017-01-01 13:05:0{second}", user_id="b", lat=-16.8, long=long, accuracy=1.7e308)
    fold_new_fixes(db)
    report = Report()
    assert list(verify(db, report)) == []
    assert report == Report(fixes=28, minutes=25, proven=25)
