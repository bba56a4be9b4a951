"""How far the roll-up and the pruning have come."""

from datetime import UTC, datetime, timedelta

from bson import Timestamp
from pymongo.database import Database

from locapi import watermarks
from locapi.mongo import Document

TIME = datetime(2017, 1, 1, 18, 5, 12, 345_000, tzinfo=UTC)


def test_a_watermark_is_read_as_it_was_written(db: Database[Document]) -> None:
    assert watermarks.read(db, watermarks.PRUNED) is None
    for mark in (Timestamp(7, 1), Timestamp(5, 0)):
        watermarks.write(db, watermarks.PRUNED, mark)
        assert watermarks.read(db, watermarks.PRUNED) == mark
    assert watermarks.read(db, watermarks.ROLLED_UP) is None


def test_what_is_noted_beside_a_watermark_is_read_with_it(db: Database[Document]) -> None:
    assert watermarks.entry(db, watermarks.ROLLED_UP) == {}
    watermarks.write(db, watermarks.ROLLED_UP, Timestamp(7, 1), duration_s=1.5)
    entry = {"_id": watermarks.ROLLED_UP, "received_at": Timestamp(7, 1), "duration_s": 1.5}
    assert watermarks.entry(db, watermarks.ROLLED_UP) == entry


def test_a_mark_lies_after_all_of_its_second() -> None:
    assert watermarks.after(TIME) == Timestamp(TIME + timedelta(seconds=1), 0)
    assert watermarks.after(TIME) > Timestamp(TIME, 9_999)


def test_a_fix_can_be_pruned_up_to_a_day_and_an_hour_after_the_horizon() -> None:
    horizon = Timestamp(TIME, 0)
    edge = horizon.as_datetime() + timedelta(days=1, hours=1)
    assert watermarks.may_be_pruned(edge - timedelta(seconds=1), horizon)
    assert not watermarks.may_be_pruned(edge, horizon)
    assert not watermarks.may_be_pruned(TIME, None)


def test_each_slice_has_its_own_time_and_what_knows_of_none_reads_the_least(
    db: Database[Document],
) -> None:
    assert set(watermarks.settle(db)) == {watermarks.NEVER}
    watermarks.roll_up(db, range(64), Timestamp(9, 0), duration_s=1.5)
    watermarks.roll_up(db, range(60, 128), Timestamp(7, 0), duration_s=2.5)
    marks = [Timestamp(9, 0)] * 60 + [Timestamp(7, 0)] * 68
    assert watermarks.entry(db, watermarks.ROLLED_UP) == {
        "_id": watermarks.ROLLED_UP,
        "slices": marks,
        "received_at": Timestamp(7, 0),
        "duration_s": 2.5,
    }
    assert watermarks.settle(db) == marks


def test_a_watermark_of_before_there_were_slices_holds_for_all(db: Database[Document]) -> None:
    watermarks.write(db, watermarks.ROLLED_UP, Timestamp(7, 0), duration_s=1.5)
    assert (
        watermarks.by_slice(watermarks.entry(db, watermarks.ROLLED_UP)) == [Timestamp(7, 0)] * 128
    )
    watermarks.roll_up(db, [3], Timestamp(9, 0))
    marks = watermarks.settle(db)
    assert marks[3] == Timestamp(9, 0)
    assert set(marks) == {Timestamp(7, 0), Timestamp(9, 0)}
    assert watermarks.read(db, watermarks.ROLLED_UP) == Timestamp(7, 0)
