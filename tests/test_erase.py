"""A user is removed, and nothing of before comes back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from bson import Timestamp
from pymongo.database import Database

from locapi import erase, rollup
from locapi.erase import Erased
from locapi.mongo import Document
from locapi.prune import prune
from locapi.rollup import roll_up
from locapi.verify import Report, verify
from tests.conftest import Send


def left(db: Database[Document]) -> dict[str, list[str]]:
    return {
        name: sorted(str(document["_id"]) for document in db[name].find())
        for name in ("fixes", "minutes", "erasures")
    }


NOTHING: dict[str, list[str]] = {"fixes": [], "minutes": [], "erasures": []}


def test_raw_fixes_minutes_and_the_memory_of_both_are_removed(
    db: Database[Document], send: Send
) -> None:
    for second in range(3):
        send(f"2017-01-01 13:05:0{second}")
    prune(db, timedelta(0))
    send("2017-01-01 13:06:00")
    roll_up(db)
    assert erase.erase(db, "a1") == Erased(fixes=1, minutes=2)
    assert left(db) == NOTHING
    assert send("2017-01-01 13:05:00")["status"] == "stored"


def test_other_users_are_not_touched(db: Database[Document], send: Send) -> None:
    for user_id in ("a", "a ", "aa", "a b"):
        send(user_id=user_id)
    roll_up(db)
    assert erase.erase(db, "a") == Erased(fixes=1, minutes=1)
    assert left(db)["minutes"] == [f"{user}\t2017-01-01T18:05" for user in ("a ", "a b", "aa")]


def test_a_user_that_is_not_there_is_removed_too(db: Database[Document]) -> None:
    assert erase.erase(db, "nobody") == Erased(fixes=0, minutes=0)
    assert left(db) == NOTHING


def later(db: Database[Document]) -> None:
    """Make the raw fixes look as if they were received after an erasure that runs now."""
    for fix in db.fixes.find():
        ahead = Timestamp(fix["received_at"].time + 60, fix["received_at"].inc)
        db.fixes.update_one({"_id": fix["_id"]}, {"$set": {"received_at": ahead}})


def test_what_arrives_meanwhile_stays_also_in_a_minute_that_was_there(
    db: Database[Document], send: Send
) -> None:
    send("2017-01-01 13:05:02", lat=20.0)
    send("2017-01-01 13:06:02", lat=20.0)
    later(db)
    send("2017-01-01 13:05:01", lat=10.0)
    roll_up(db)
    assert erase.erase(db, "a1") == Erased(fixes=1, minutes=2)
    assert [(minute["count"], minute["lat"]) for minute in db.minutes.find().sort("_id")] == [
        (1, 20.0),
        (1, 20.0),
    ]
    assert list(verify(db, Report())) == []


def test_many_pages_of_minutes_are_removed(db: Database[Document], send: Send) -> None:
    for minute in range(50):
        send(f"2017-01-01 13:{minute:02}:00")
    roll_up(db)
    erase._PAGE, kept = 7, erase._PAGE
    try:
        assert erase.erase(db, "a1") == Erased(fixes=50, minutes=50)
    finally:
        erase._PAGE = kept


def test_an_erasure_that_was_cut_off_is_finished_by_the_next(
    db: Database[Document], send: Send
) -> None:
    send()
    db.erasures.insert_one({"_id": "a1", "received_at": Timestamp(1, 0)})
    erase.erase(db, "a1")
    assert left(db) == NOTHING


def test_a_rollup_under_way_brings_nothing_back(db: Database[Document]) -> None:
    template = {
        **dict.fromkeys(("lat", "long", "accuracy", "speed"), 1.0),
        "user_id": "a1",
        "received_at": Timestamp(0, 0),
    }
    for minute in range(60):
        db.fixes.insert_many(
            {
                **template,
                "_id": f"a1\t2017-01-01 13:{minute:02}:00.{ms:03}",
                "minute_id": f"a1\t2017-01-01T13:{minute:02}",
                "mark": ms,
            }
            for ms in range(500)
        )
    stop = threading.Event()

    def keep_rolling_up() -> None:
        while not stop.is_set():
            rollup._fold(db, {})

    with ThreadPoolExecutor(3) as threads:
        rolling = [threads.submit(keep_rolling_up) for _ in range(3)]
        while not db.minutes.find_one():
            pass
        erased = erase.erase(db, "a1")
        stop.set()
        for job in rolling:
            job.result()
    assert erased.fixes == 30_000
    assert left(db) == NOTHING
