"""Marks of changes: unique, rising, and open until the change is on disk."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from locapi.rollup.erase import erase
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.prune import prune
from locapi.storage import changes
from locapi.storage.documents import Document
from tests.conftest import Send

DAY = timedelta(days=1)


def entry(db: Database[Document]) -> Any:
    return db.watermarks.find_one({"_id": changes.CHANGES})


def test_marks_rise_even_if_the_clock_was_set_back(db: Database[Document]) -> None:
    ahead = datetime(2100, 1, 1, tzinfo=UTC)
    with changes.marked(db) as first:
        db.watermarks.update_one({"_id": changes.CHANGES}, {"$set": {"last": ahead}})
        with changes.marked(db) as second, changes.marked(db) as third:
            pass
    assert first < ahead < second < third


def test_a_mark_is_open_until_the_change_is_done(db: Database[Document]) -> None:
    with changes.marked(db) as mark:
        assert entry(db)["open"] == [mark]
    assert entry(db)["open"] == []


def test_a_mark_stays_open_if_the_change_fails(db: Database[Document]) -> None:
    with pytest.raises(ZeroDivisionError), changes.marked(db) as mark:
        raise ZeroDivisionError
    with changes.marked(db) as later:
        assert entry(db)["open"] == [mark, later]


def test_a_change_that_took_too_long_is_marked_again(db: Database[Document]) -> None:
    with changes.marked(db) as mark:
        late = mark - 2 * changes.MAX_OPEN
        db.watermarks.update_one({"_id": changes.CHANGES}, {"$set": {"open": [late]}})
        db.minutes.insert_one({"_id": "a1", "changed_at": mark})
        with changes.marked(db):
            pass
    found = db.minutes.find_one()
    assert found
    assert mark < found["changed_at"] == entry(db)["last"]
    assert entry(db)["open"] == []


@pytest.mark.usefixtures("no_wait")
def test_a_fold_marks_only_what_it_changes(db: Database[Document], send: Send) -> None:
    def marks() -> list[datetime]:
        return [minute["changed_at"] for minute in db.minutes.find().sort("_id", 1)]

    send("2017-01-01 13:05:12")
    send("2017-01-01 13:06:12")
    fold_new_fixes(db)
    one, two = before = marks()
    assert one == two
    fold_new_fixes(db)
    prune(db, timedelta(0))
    assert marks() == before
    send("2017-01-01 13:06:13")
    fold_new_fixes(db)
    assert marks()[0] == one
    assert marks()[1] > two


def test_an_erased_user_leaves_a_tombstone_for_thirty_days(
    db: Database[Document], send: Send
) -> None:
    send(user_id="a1")
    fold_new_fixes(db)
    erase(db, "a1")
    (tombstone,) = db.tombstones.find()
    assert tombstone.keys() == {"_id", "changed_at"}
    assert tombstone["_id"] == "a1"
    for age, left in ((29 * DAY, 1), (31 * DAY, 0)):
        old = tombstone["changed_at"] - age
        db.tombstones.update_one({}, {"$set": {"changed_at": old}})
        fold_new_fixes(db)
        assert db.tombstones.count_documents({}) == left
    assert entry(db)["forgotten"] == old
