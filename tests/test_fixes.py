"""The raw fixes: first copy wins, and what an ambiguous time means."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Timestamp
from pymongo.database import Database

from locapi import keys
from locapi.app import create_app
from locapi.errors import InvalidFix
from locapi.fixes import FixStore, Receipt
from locapi.mongo import Document
from locapi.rollup import roll_up
from locapi.schema import Fix
from tests.conftest import Send, a_fix

NOW = datetime(2017, 6, 1, 12, tzinfo=UTC)


def test_a_raw_fix_keeps_what_was_sent_and_what_was_concluded(
    db: Database[Document], send: Send
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert send("2017-01-01 13:05:12.3459") == {
        "status": "stored",
        "fix_time": "2017-01-01T18:05:12.345Z",
        "tz": "America/New_York",
    }
    (raw,) = db.fixes.find()
    received_at = raw.pop("received_at")
    assert isinstance(received_at, Timestamp)
    assert before.replace(microsecond=0) <= received_at.as_datetime() <= datetime.now(UTC)
    assert raw == {
        "_id": "a1\t2017-01-01 13:05:12.345",
        "user_id": "a1",
        "local_time": "2017-01-01 13:05:12.3459",
        "lat": 40.7,
        "long": -74.0,
        "accuracy": 5.0,
        "speed": 1.5,
        "fix_time": datetime(2017, 1, 1, 18, 5, 12, 345_000, tzinfo=UTC),
        "tz": "America/New_York",
        "utc_offset": -18_000,
        "slice": keys.slice_of("a1"),
        "minute_id": "a1\t2017-01-01T18:05",
        "mark": keys.mark(datetime(2017, 1, 1, 18, 5, 12, 345_000, tzinfo=UTC), -18_000),
    }


def test_a_repeated_fix_answers_duplicate_and_keeps_the_first(
    db: Database[Document], send: Send
) -> None:
    assert send("2017-01-01 13:05:12")["status"] == "stored"
    (first,) = db.fixes.find()
    for same in ("2017-01-01 13:05:12", "2017-01-01 13:05:12.0", "2017-01-01 13:05:12.000999"):
        assert send(same, lat=41.9)["status"] == "duplicate"
    assert list(db.fixes.find()) == [first]


def test_a_duplicate_is_answered_with_the_time_of_the_copy_that_is_kept(send: Send) -> None:
    assert send(long=-74.0)["fix_time"] == "2017-01-01T18:05:12Z"
    assert send(long=-118.2, lat=34.0) == {
        "status": "duplicate",
        "fix_time": "2017-01-01T18:05:12Z",
        "tz": "America/New_York",
    }


def test_another_user_or_another_millisecond_is_another_fix(send: Send) -> None:
    assert send()["status"] == "stored"
    assert send(user_id="a2")["status"] == "stored"
    assert send("2017-01-01 13:05:12.001")["status"] == "stored"


def put(db: Database[Document], now: datetime = NOW, **fields: Any) -> Receipt:
    sent = a_fix(**fields)
    wall = datetime.fromisoformat(sent["timestamp"])
    fix = Fix(
        local_time=sent.pop("timestamp"),
        wall=wall,
        **{name: sent[name] for name in ("user_id", "lat", "long", "accuracy", "speed")},
    )
    return FixStore(db, now=lambda: now).put(fix)


@pytest.mark.parametrize(
    ("timestamp", "fix_time"),
    [
        ("1969-12-31 19:00:00", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2017-06-02 08:00:00", NOW + timedelta(days=1)),
    ],
)
def test_an_instant_at_the_edge_of_the_range_is_taken(
    db: Database[Document], timestamp: str, fix_time: datetime
) -> None:
    assert put(db, timestamp=timestamp).fix_time == fix_time


@pytest.mark.parametrize(
    "timestamp",
    [
        "1969-12-31 18:59:59.999",
        "2017-06-02 08:00:00.001",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59",
    ],
)
def test_an_instant_out_of_range_is_refused(db: Database[Document], timestamp: str) -> None:
    with pytest.raises(InvalidFix) as caught:
        put(db, timestamp=timestamp)
    assert list(caught.value.fields) == ["timestamp"]
    assert db.fixes.find_one() is None


def times(send: Send, *timestamps: str) -> list[str]:
    return [send(f"2017-11-05 {time}")["fix_time"][11:] for time in timestamps]


def test_the_repeated_hour_is_resolved_by_chronology(send: Send) -> None:
    assert times(
        send, "01:30:00", "01:59:00", "01:10:00", "01:31:00.5", "01:59:30", "02:00:00"
    ) == [
        "05:30:00Z",
        "05:59:00Z",
        "06:10:00Z",
        "06:31:00.500Z",
        "06:59:30Z",
        "07:00:00Z",
    ]


def test_a_later_fix_from_another_zone_decides_too(send: Send) -> None:
    # 05:40 UTC in Chicago, whose clock shows less than New York's first pass.
    send("2017-11-05 00:50:00")
    send("2017-11-05 00:40:00", lat=41.8, long=-87.6)
    assert times(send, "01:30:00") == ["06:30:00Z"]


def test_another_users_fixes_do_not_decide(send: Send) -> None:
    send("2017-11-05 03:00:00", user_id="a2")
    send("2017-11-05 03:00:00", user_id="a")
    assert times(send, "01:30:00") == ["05:30:00Z"]


@pytest.mark.parametrize(
    ("newest", "fix_time"), [("01:30:00", "05:30:00Z"), ("01:30:01", "06:30:00Z")]
)
def test_the_newest_fix_decides_also_when_only_its_minute_is_left(
    db: Database[Document], send: Send, newest: str, fix_time: str
) -> None:
    times(send, newest)
    roll_up(db)
    db.fixes.delete_many({})
    assert times(send, "01:30:00") == [fix_time]


def test_a_repeat_in_the_repeated_hour_is_still_a_duplicate(send: Send) -> None:
    assert times(send, "01:30:00", "01:40:00", "01:30:00") == [
        "05:30:00Z",
        "05:40:00Z",
        "05:30:00Z",
    ]


def test_an_ordinary_fix_is_one_insert_and_no_query(db: Database[Document], send: Send) -> None:
    send("2017-01-01 13:05:11")
    before = db.command("serverStatus")["opcounters"]
    send("2017-01-01 13:05:12")
    after = db.command("serverStatus")["opcounters"]
    assert {name: after[name] - before[name] for name in ("insert", "query", "update")} == {
        "insert": 1,
        "query": 0,
        "update": 0,
    }


def test_the_api_goes_by_the_clock_that_the_application_was_given(db: Database[Document]) -> None:
    clock = datetime(2017, 1, 1, 12, tzinfo=UTC)
    api = create_app(database=db, now=lambda: clock).test_client()
    ahead = a_fix(timestamp="2017-01-02 11:00:00")  # 16:00 UTC
    assert api.put("/location", json=ahead).status_code == 400
    clock += timedelta(hours=6)
    assert api.put("/location", json=ahead).status_code == 200
