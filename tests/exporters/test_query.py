"""The query streams minutes in order, page by page, by the index."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from locapi.exporters import query
from locapi.exporters.query import read_pages
from locapi.fixes import ids
from locapi.storage.documents import Document

BASE = datetime(2017, 1, 1, 18, 0, tzinfo=UTC)


def add(db: Database[Document], user_id: str, *minutes: int) -> None:
    times = [BASE + timedelta(minutes=minute) for minute in minutes]
    db.minutes.insert_many(
        {"_id": ids.minute_id(user_id, time), "user_id": user_id, "minute": time} for time in times
    )


def exported(db: Database[Document], **selection: Any) -> list[tuple[str, str]]:
    named = [
        ids.parse_minute_id(row["_id"]) for page in read_pages(db, **selection) for row in page
    ]
    return [(user_id, f"{minute:%H:%M}") for user_id, minute in named]


def test_minutes_are_sorted_by_user_and_time(db: Database[Document]) -> None:
    add(db, "b", 2, 1)
    add(db, "a b", 1)
    add(db, "a", 3, 1)
    add(db, "ä", 1)
    add(db, "A", 1)
    assert exported(db) == [
        ("A", "18:01"),
        ("a", "18:01"),
        ("a", "18:03"),
        ("a b", "18:01"),
        ("b", "18:01"),
        ("b", "18:02"),
        ("ä", "18:01"),
    ]


@pytest.mark.parametrize("user_id", [None, "a"])
@pytest.mark.parametrize(
    ("since", "until", "minutes"),
    [
        (None, None, "1234"),
        (2, None, "234"),
        (None, 3, "12"),
        (2, 3, "2"),
        (2, 2, ""),
        (1.5, 3.5, "23"),
        (4.01, None, ""),
    ],
)
def test_window_includes_its_start_and_excludes_its_end(
    db: Database[Document],
    user_id: str | None,
    since: float | None,
    until: float | None,
    minutes: str,
) -> None:
    add(db, "a", 1, 2, 3, 4)
    window = {
        name: BASE + timedelta(minutes=minute)
        for name, minute in (("since", since), ("until", until))
        if minute is not None
    }
    assert exported(db, user_id=user_id, **window) == [("a", f"18:0{minute}") for minute in minutes]


@pytest.mark.parametrize("user_id", [None, "a"])
def test_window_may_span_the_whole_calendar(db: Database[Document], user_id: str | None) -> None:
    add(db, "a", 1)
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert exported(db, user_id=user_id, since=first, until=last) == [("a", "18:01")]
    assert exported(db, user_id=user_id, since=last) == []


def test_user_filter_matches_the_whole_name(db: Database[Document]) -> None:
    for user_id in ("a", "a b", "aa", "", "a\u00a0"):
        add(db, user_id, 1)
    assert exported(db, user_id="a") == [("a", "18:01")]


def test_pages_continue_where_the_last_one_ended(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "PAGE_SIZE", 2)
    add(db, "a", 1, 2, 3)
    add(db, "b", 1, 2, 3)
    assert len(exported(db)) == 6
    assert exported(db, user_id="a") == [("a", "18:01"), ("a", "18:02"), ("a", "18:03")]
    since = {"since": BASE + timedelta(minutes=2)}
    assert [minute for _, minute in exported(db, user_id="a", **since)] == ["18:02", "18:03"]


@pytest.mark.parametrize(
    ("selection", "most_keys"),
    [({}, 20), ({"user_id": "a"}, 11), ({"user_id": "a", "since": BASE}, 11)],
)
def test_query_reads_in_the_order_of_the_id_without_sorting(
    db: Database[Document], selection: dict[str, Any], most_keys: int
) -> None:
    add(db, "a", *range(10))
    add(db, "b", *range(10))
    which = query.selection(
        **{"user_id": None, "since": None, "until": None, "after": None, **selection}
    )
    plan = db.minutes.find(which).sort("_id", 1).explain()
    assert "'stage': 'SORT'" not in str(plan["queryPlanner"]["winningPlan"])
    assert plan["executionStats"]["totalKeysExamined"] <= most_keys
