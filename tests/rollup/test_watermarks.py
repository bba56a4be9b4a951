"""How far the roll-up and the pruning have come."""

from datetime import UTC, datetime, timedelta

from bson import Timestamp
from pymongo.database import Database

from locapi.rollup import watermarks
from locapi.storage.documents import Document

TIME = datetime(2017, 1, 1, 18, 5, 12, 345_000, tzinfo=UTC)


def test_a_watermark_only_advances(db: Database[Document]) -> None:
    assert watermarks.read(db, watermarks.PRUNED) is None
    for time, found in ((7, 7), (5, 7), (9, 9)):
        watermarks.advance(db, watermarks.PRUNED, Timestamp(time, 0))
        assert watermarks.read(db, watermarks.PRUNED) == Timestamp(found, 0)
    assert watermarks.read(db, watermarks.ERASED) is None


def test_a_whole_second_lies_after_all_of_the_one_before() -> None:
    assert watermarks.after(TIME) == Timestamp(TIME + timedelta(seconds=1), 0)
    assert watermarks.after(TIME) > Timestamp(TIME, 9_999)


def test_a_fix_can_be_pruned_up_to_a_day_and_an_hour_after_the_horizon() -> None:
    horizon = Timestamp(TIME, 0)
    edge = horizon.as_datetime() + timedelta(days=1, hours=1)
    assert watermarks.may_be_pruned(edge - timedelta(seconds=1), horizon)
    assert not watermarks.may_be_pruned(edge, horizon)
    assert not watermarks.may_be_pruned(TIME, None)


def test_each_slice_has_its_own_watermark(db: Database[Document]) -> None:
    assert set(watermarks.wait_for_majority(db)) == {watermarks.NEVER}
    watermarks.advance_rollup(db, range(64), Timestamp(9, 0), duration_s=1.5)
    watermarks.advance_rollup(db, range(60, 128), Timestamp(7, 0), duration_s=2.5)
    slices = [Timestamp(9, 0)] * 60 + [Timestamp(7, 0)] * 68
    found = watermarks.entry(db, watermarks.ROLLED_UP)
    assert found == {"_id": watermarks.ROLLED_UP, "slices": slices, "duration_s": 2.5}
    assert watermarks.rolled_up(found) == watermarks.wait_for_majority(db) == slices
