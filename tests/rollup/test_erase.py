"""A user is removed, and nothing comes back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from bson import Timestamp
from pymongo.database import Database

from locapi.errors import Conflict, DatabaseUnavailable
from locapi.rollup import erase, watermarks
from locapi.rollup.erase import Erased
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.prune import prune
from locapi.rollup.verify import Report, verify
from locapi.storage.documents import Document
from tests.conftest import Send
from tests.support.fixes import raw
from tests.support.processes import until

NOTHING: dict[str, list[str]] = {"fixes": [], "minutes": [], "erasures": []}


def left(db: Database[Document]) -> dict[str, list[str]]:
    return {name: sorted(str(document["_id"]) for document in db[name].find()) for name in NOTHING}


@pytest.mark.usefixtures("no_wait")
def test_fixes_minutes_and_deduplication_records_of_one_user_are_removed(
    db: Database[Document], send: Send
) -> None:
    others = ("a ", "a1 b", "aa", "a")
    for user_id in others:
        send(user_id=user_id)
    for second in range(3):
        send(f"2017-01-01 13:05:0{second}")
    prune(db, timedelta(0))
    send("2017-01-01 13:06:00")
    fold_new_fixes(db)
    assert erase.erase(db, "a1") == Erased(fixes=1, minutes=2)
    assert left(db)["fixes"] == []
    assert left(db)["minutes"] == sorted(f"{user}\t2017-01-01T18:05" for user in others)
    assert send("2017-01-01 13:05:00")["status"] == "stored"


def test_an_unknown_user_is_removed_too(db: Database[Document]) -> None:
    assert erase.erase(db, "nobody") == Erased(fixes=0, minutes=0)
    assert left(db) == NOTHING


def test_fixes_received_meanwhile_stay_also_in_a_minute_that_existed(
    db: Database[Document], send: Send
) -> None:
    send("2017-01-01 13:05:02", lat=20.0)
    send("2017-01-01 13:06:02", lat=20.0)
    for fix in db.fixes.find():
        later = Timestamp(fix["received_at"].time + 60, fix["received_at"].inc)
        db.fixes.update_one({"_id": fix["_id"]}, {"$set": {"received_at": later}})
    send("2017-01-01 13:05:01", lat=10.0)
    fold_new_fixes(db)
    assert erase.erase(db, "a1") == Erased(fixes=1, minutes=2)
    minutes = [(minute["count"], minute["lat"]) for minute in db.minutes.find().sort("_id")]
    assert minutes == [(1, 20.0), (1, 20.0)]
    assert list(verify(db, Report())) == []


def test_many_pages_of_minutes_are_removed_and_an_interrupted_erasure_is_finished(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erase, "PAGE_MINUTES", 7)
    db.fixes.insert_many([raw(60_000 * minute) for minute in range(50)])
    fold_new_fixes(db)
    db.erasures.insert_one({"_id": "a1", "received_at": Timestamp(1, 0)})
    assert erase.erase(db, "a1") == Erased(fixes=50, minutes=50)
    assert left(db) == NOTHING


def test_a_horizon_far_in_the_future_is_an_error_that_names_it(
    db: Database[Document], send: Send
) -> None:
    send()
    later = Timestamp(datetime.now(UTC) + timedelta(hours=1), 0)
    watermarks.advance(db, watermarks.PRUNED, later)
    with pytest.raises(Conflict, match="later than the database's clock"):
        erase.erase(db, "a1")


def test_waiting_for_a_prune_of_this_second_is_reported_once_and_ends(
    db: Database[Document], send: Send
) -> None:
    send()
    soon = Timestamp(datetime.now(UTC) + timedelta(seconds=3), 0)
    watermarks.advance(db, watermarks.PRUNED, soon)
    said: list[str] = []
    assert erase.erase(db, "a1", said.append) == Erased(fixes=1, minutes=0)
    assert said == ["Waiting until the database's clock reaches the last prune."]


def test_waiting_for_a_roll_up_is_reported_and_times_out(
    db: Database[Document], send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    send()
    said: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(erase, "running_folds", lambda _: {"a fold without end"})
        with pytest.raises(DatabaseUnavailable, match=r"running for 0\.2 s"):
            erase.erase(db, "a1", said.append, max_wait_s=0.2)
    assert said == ["Waiting for the roll-up that is running."]
    assert erase.is_known(db, "a1"), "so that the erasure can be repeated"
    assert erase.erase(db, "a1") == Erased(fixes=0, minutes=0)
    assert not erase.is_known(db, "a1")


def test_running_fold_does_not_bring_erased_fixes_back(db: Database[Document]) -> None:
    for minute in range(60):
        db.fixes.insert_many([raw(60_000 * minute + ms) for ms in range(500)])
    stop = threading.Event()

    def keep_folding() -> None:
        while not stop.is_set():
            fold_new_fixes(db)

    with ThreadPoolExecutor(3) as threads:
        folding = [threads.submit(keep_folding) for _ in range(3)]
        try:
            until(lambda: db.minutes.find_one() is not None)
            erased = erase.erase(db, "a1")
        finally:
            stop.set()
        for job in folding:
            job.result()
    assert erased.fixes == 30_000
    assert left(db) == NOTHING
