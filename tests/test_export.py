"""Minutes, streamed out."""

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from locapi import export, keys
from locapi.export import read, read_pages
from locapi.mongo import Document
from locapi.writers import FORMATS

ROWS = ("csv", "ndjson")
BASE = datetime(2017, 1, 1, 18, 0, tzinfo=UTC)


def add(db: Database[Document], user_id: str, *minutes: int) -> None:
    times = [BASE + timedelta(minutes=minute) for minute in minutes]
    db.minutes.insert_many(
        {
            "_id": keys.minute_id(user_id, time),
            "user_id": user_id,
            "minute": time,
            "lat": 40.1,
            "long": -74.0,
            "accuracy": 5.0,
            "speed": 1 / 3,
            "count": 3,
            "seen": [1, 2, 3],
        }
        for time in times
    )


def exported(db: Database[Document], **selection: Any) -> list[tuple[str, str]]:
    named = [
        keys.parse_minute_id(row["_id"]) for page in read_pages(db, **selection) for row in page
    ]
    return [(user_id, f"{minute:%H:%M}") for user_id, minute in named]


def test_minutes_come_by_user_and_then_minute(db: Database[Document]) -> None:
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
def test_a_window_holds_its_start_and_not_its_end(
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


def test_one_users_minutes_are_nobody_elses(db: Database[Document]) -> None:
    for user_id in ("a", "a b", "aa", "", "a\u00a0"):
        add(db, user_id, 1)
    assert exported(db, user_id="a") == [("a", "18:01")]


def test_pages_join_without_a_gap(db: Database[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_PAGE", 2)
    add(db, "a", 1, 2, 3)
    add(db, "b", 1, 2, 3)
    assert len(exported(db)) == 6
    assert exported(db, user_id="a") == [("a", "18:01"), ("a", "18:02"), ("a", "18:03")]
    since = {"since": BASE + timedelta(minutes=2)}
    assert [minute for _, minute in exported(db, user_id="a", **since)] == ["18:02", "18:03"]


@pytest.mark.parametrize("name", ROWS)
def test_what_is_exported_reads_back_the_same(db: Database[Document], name: str) -> None:
    users = [
        "a",
        "a b",
        ",",
        '"',
        '","',
        "},{",
        "],[",
        "\\t",
        "ü\u2028\u2029",
        "\U0001f600",
        "'",
        "=1",
    ]
    numbers = [
        0.1 + 0.2,
        -0.0,
        5e-324,
        1.7976931348623157e308,
        1e-5,
        1e16,
        -179.99999999999997,
        1 / 3,
    ]
    expected = []
    for place, user_id in enumerate(sorted(users, key=str.encode)):
        add(db, user_id, 5)
        values = dict.fromkeys(("lat", "long", "accuracy", "speed"), numbers[place % len(numbers)])
        db.minutes.update_one({"user_id": user_id}, {"$set": {**values, "count": 1 + place}})
        expected.append([user_id, "2017-01-01T18:05:00Z", *values.values(), 1 + place])
    out = io.StringIO()
    FORMATS[name].load()(read(db), out)
    if name == "csv":
        header, *lines = csv.reader(io.StringIO(out.getvalue(), newline=""))
        found = [[*line[:2], *map(float, line[2:6]), int(line[6])] for line in lines]
        assert header == list(export.COLUMNS)
    else:
        found = [list(json.loads(line).values()) for line in out.getvalue().split("\n")[:-1]]
    assert [list(map(repr, row)) for row in found] == [list(map(repr, row)) for row in expected]


@pytest.mark.parametrize(
    ("name", "text"), [("csv", ",".join(export.COLUMNS) + "\n"), ("ndjson", "")]
)
def test_nothing_to_export_is_no_line(db: Database[Document], name: str, text: str) -> None:
    out = io.StringIO()
    FORMATS[name].load()(read(db), out)
    assert out.getvalue() == text


def test_csv_and_ndjson_hold_the_columns_and_nothing_else(db: Database[Document]) -> None:
    add(db, 'a,"ü', 5)
    texts = {}
    for name in ROWS:
        out = io.StringIO()
        FORMATS[name].load()(read(db), out)
        texts[name] = out.getvalue()
    assert texts == {
        "csv": "user_id,minute,lat,long,accuracy,speed,count\n"
        '"a,""ü",2017-01-01T18:05:00Z,40.1,-74.0,5.0,0.3333333333333333,3\n',
        "ndjson": '{"user_id":"a,\\"ü","minute":"2017-01-01T18:05:00Z","lat":40.1,"long":-74.0,'
        '"accuracy":5.0,"speed":0.3333333333333333,"count":3}\n',
    }


@pytest.mark.parametrize(
    ("selection", "read_all"),
    [({}, True), ({"user_id": "a"}, False), ({"user_id": "a", "since": BASE}, False)],
)
def test_the_export_reads_in_the_order_of_the_key(
    db: Database[Document], selection: dict[str, Any], read_all: bool
) -> None:
    add(db, "a", *range(10))
    add(db, "b", *range(10))
    query = export.selection(
        **{"user_id": None, "since": None, "until": None, "after": None, **selection}
    )
    plan = db.minutes.find(query).sort("_id", 1).explain()
    assert "'stage': 'SORT'" not in str(plan["queryPlanner"]["winningPlan"])
    assert plan["executionStats"]["totalKeysExamined"] <= (20 if read_all else 11)


def test_export_begins_without_the_map_of_zones_and_arrow() -> None:
    loaded = (
        "import sys; from cli.export import export; from locapi.writers import FORMATS; "
        "FORMATS['csv'].load(); print(*sys.modules)"
    )
    command = [sys.executable, "-c", loaded]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {"timezonefinder", "pyarrow", "numpy", "flask"}.isdisjoint(done.stdout.split())
