"""What changed since a token: each change at least once, and erased users first."""

import io
from datetime import timedelta

import pytest
from pymongo.database import Database

from locapi.backup.dump import dump
from locapi.backup.restore import restore
from locapi.errors import Conflict
from locapi.exporters import changes
from locapi.exporters.changes import START, ChangeSet, parse_token, read_changes
from locapi.rollup.erase import erase
from locapi.rollup.fold import fold_new_fixes
from locapi.storage.changes import TOMBSTONE_AGE, marked
from locapi.storage.documents import Document
from tests.exporters.conftest import Fold
from tests.support.follower import Follower


def found(changed: ChangeSet) -> list[str]:
    """Return the erased users, and user and clock of each minute."""
    rows = [row["_id"] for page in changed.minutes.pages for row in page]
    return [f"-{user_id}" for user_id in changed.minutes.erased or ()] + [
        f"{row.split(chr(9))[0]} {row[-5:]}" for row in rows
    ]


def test_only_changed_minutes_are_read_each_time(db: Database[Document], fold: Fold) -> None:
    token = read_changes(db).token
    assert (token, str(token)) == (START, "start")
    fold("01-01 13:05:01", "01-01 13:06:01")
    fold("01-01 12:00:00", user_id="b")
    changed = read_changes(db, token)
    assert found(changed) == ["a 18:05", "a 18:06", "b 17:00"]
    fold_new_fixes(db)
    assert found(read_changes(db, changed.token)) == []
    fold("01-01 13:05:02")
    assert parse_token(str(changed.token)) == changed.token
    assert found(read_changes(db, changed.token)) == ["a 18:05"]
    assert found(read_changes(db, changed.token, "b")) == []


def test_a_change_that_was_under_way_is_read_the_next_time(
    db: Database[Document], fold: Fold
) -> None:
    with marked(db) as mark:
        fold("01-01 13:05:01")
        changed = read_changes(db)
        assert found(changed) == ["a 18:05"]
        db.minutes.insert_one({"_id": "b\t2017-01-01T18:05", "changed_at": mark})
    assert parse_token(str(changed.token)) == changed.token
    assert found(read_changes(db, changed.token)) == ["b 18:05"]


def test_reader_that_lost_its_first_token_drops_the_rows_of_users_erased_since(
    db: Database[Document], fold: Fold
) -> None:
    fold("01-01 13:05:01")
    fold("01-01 13:05:01", user_id="b")
    follower = Follower()
    follower.follow(db)
    follower.token = START
    erase(db, "b")
    follower.follow(db)
    assert follower.differences(db) == []


def test_many_open_marks_are_read_again_from_the_oldest(
    db: Database[Document], fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_OPEN", 1)
    with marked(db), marked(db):
        fold("01-01 13:05:01")
        token = read_changes(db).token
    assert token.open == ()
    assert found(read_changes(db, token)) == ["a 18:05"]


def test_an_erased_user_comes_first_and_with_all_minutes_there_are_now(
    db: Database[Document], fold: Fold
) -> None:
    fold("01-01 13:05:01")
    fold("01-01 13:05:01", user_id="b")
    fold("01-01 13:05:01", user_id="c")
    token = read_changes(db).token
    for user_id in ("a", "c"):
        erase(db, user_id)
    fold("01-01 14:00:00")
    between = read_changes(db).token
    fold("01-01 15:00:00")
    assert found(read_changes(db, token)) == ["-a", "-c", "a 19:00", "a 20:00"]
    assert found(read_changes(db, token, "a")) == ["-a", "a 19:00", "a 20:00"]
    assert found(read_changes(db, token, "b")) == []
    assert found(read_changes(db, between)) == ["a 20:00"]


def test_what_is_restored_has_changed(db: Database[Document], fold: Fold) -> None:
    fold("01-01 13:05:01", "01-01 13:06:01")
    file = io.BytesIO()
    dump(db, file)
    token = read_changes(db).token
    db.minutes.delete_one({"_id": "a\t2017-01-01T18:05"})
    restore(db, file)
    assert found(read_changes(db, token)) == ["a 18:05"]


def test_a_token_of_another_database_is_refused(db: Database[Document], fold: Fold) -> None:
    fold("01-01 13:05:01")
    token = read_changes(db).token
    db.watermarks.update_one({"_id": "changes"}, {"$set": {"last": token.last - timedelta(1)}})
    with pytest.raises(Conflict, match="restored from a copy"):
        read_changes(db, token)
    db.watermarks.delete_many({})
    with pytest.raises(Conflict, match="of another database"):
        read_changes(db, token)


def test_a_token_that_could_miss_an_erasure_is_refused(db: Database[Document], fold: Fold) -> None:
    fold("01-01 13:05:01")
    before = read_changes(db).token
    erase(db, "a")
    after = read_changes(db).token
    age = TOMBSTONE_AGE + timedelta(days=1)
    long_ago = [token._replace(last=token.last - age) for token in (before, after)]
    for tombstone in db.tombstones.find():
        old = tombstone["changed_at"] - age
        db.tombstones.update_one({"_id": "a"}, {"$set": {"changed_at": old}})
    assert found(read_changes(db, long_ago[0])) == ["-a"]
    fold_new_fixes(db)
    with pytest.raises(Conflict, match="30 days"):
        read_changes(db, long_ago[0])
    assert found(read_changes(db, long_ago[1])) == []


@pytest.mark.parametrize("text", ["", "1", "start1", "0" * 24, "0" * 24 + "-" + "9" * 15])
def test_malformed_token_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        parse_token(text)
