"""The raw fixes: first copy wins, and what an ambiguous time means."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Timestamp
from pymongo.database import Database

from locapi.api.app import create_app
from locapi.errors import InvalidFix
from locapi.fixes import ids
from locapi.fixes.validation import Fix
from locapi.ingest import known_fixes
from locapi.ingest.candidate import read_time
from locapi.ingest.store import FixStore, Receipt
from locapi.storage.documents import Document
from tests.conftest import Commands, Send, a_fix

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
        "slice": ids.slice_of("a1"),
        "minute_id": "a1\t2017-01-01T18:05",
        "seen_code": ids.seen_code(datetime(2017, 1, 1, 18, 5, 12, 345_000, tzinfo=UTC), -18_000),
    }


def test_a_repeated_fix_answers_duplicate_and_keeps_the_first(
    db: Database[Document], send: Send
) -> None:
    assert send("2017-01-01 13:05:12")["status"] == "stored"
    (first,) = db.fixes.find()
    for same in ("2017-01-01 13:05:12", "2017-01-01 13:05:12.0", "2017-01-01 13:05:12.000999"):
        assert send(same, lat=41.9)["status"] == "duplicate"
    assert list(db.fixes.find()) == [first]


@pytest.mark.parametrize("as_instants", [False, True])
def test_many_repeated_fixes_are_looked_up_and_only_the_others_inserted(
    watched: Database[Document], commands: Commands, as_instants: bool
) -> None:
    store, half = FixStore(watched, lambda: NOW), known_fixes.MANY // 2
    times = [NOW + timedelta(milliseconds=number) for number in range(3 * half)]
    fixes = [fix_at(time, as_instants) for time in times]

    def put_many(some: list[Fix]) -> tuple[list[str], list[str]]:
        commands.names.clear()
        outcomes = store.put_many(some)
        return [each.status for each in outcomes if isinstance(each, Receipt)], commands.names

    store.put_many(fixes[:-half])
    statuses, sent = put_many(fixes[:-half])
    assert statuses == ["duplicate"] * 2 * half
    assert set(sent) == {"find"}
    assert len(sent) <= 2
    statuses, sent = put_many([*fixes, *fixes])
    again = ["duplicate"] * 3 * half
    assert statuses == ["duplicate"] * 2 * half + ["stored"] * half + again
    assert sent.count("insert") == 1


def test_instants_of_many_users_are_looked_up_by_user(db: Database[Document]) -> None:
    """And not each user's fixes at all users' times, which may be a million."""
    users = [f"u{number}" for number in range(9)]
    every = [
        fix_at(NOW + timedelta(seconds=second), True, user) for user in users for second in range(9)
    ]
    FixStore(db, lambda: NOW).put_many(every)
    asked = list(map(read_time, every[::10]))
    copies = known_fixes.KnownFixes(db).copies_of(asked, None)
    assert copies.keys() == {each.identity for each in asked}


def fix_at(time: datetime, as_instant: bool, user_id: str = "a1") -> Fix:
    wall = (time - timedelta(hours=4)).replace(tzinfo=None)
    return Fix(user_id, str(wall), wall, 40.7, -74.0, 5.0, 1.5, time if as_instant else None)


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


def test_the_api_goes_by_the_clock_that_the_application_was_given(db: Database[Document]) -> None:
    clock = datetime(2017, 1, 1, 12, tzinfo=UTC)
    api = create_app(database=db, now=lambda: clock).test_client()
    ahead = a_fix(timestamp="2017-01-02 11:00:00")  # 16:00 UTC
    assert api.put("/location", json=ahead).status_code == 400
    clock += timedelta(hours=6)
    assert api.put("/location", json=ahead).status_code == 200
