"""Buckets longer than a minute: the plain mean of all the fixes in them."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Timestamp
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from locapi import buckets, export, keys, times
from locapi.mongo import Document
from locapi.rollup import roll_up
from tests.depth import examples
from tests.reference import Counted, Sent, averages

MIDNIGHT = datetime(2017, 1, 1, tzinfo=UTC)
MERIDIAN = {"lat": 1.0, "accuracy": 1.0, "speed": 1.0}
BUCKETS = st.sampled_from(["2m", "5m", "15m", "45m", "1h", "8h", "1d"])

sent_fixes = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from("ab"),
        "ms": st.integers(0, 2 * 86_400_000 - 1) | st.integers(0, 3_600_000),
        "lat": st.floats(-90, 90),
        "long": st.floats(-180, 180) | st.floats(179, 180) | st.floats(-180, -179),
        "accuracy": st.floats(0, 1e9),
        "speed": st.floats(0, 1e3),
    }
)
some_fixes = st.lists(
    sent_fixes, min_size=1, max_size=25, unique_by=lambda fix: (fix["user_id"], fix["ms"])
)


def along(*longs: float) -> list[dict[str, Any]]:
    """Return a fix a minute at these longitudes."""
    return [
        {"user_id": "a", "ms": 60_000 * minute, "long": long, **MERIDIAN}
        for minute, long in enumerate(longs)
    ]


def stored(fix: dict[str, Any]) -> Document:
    time = MIDNIGHT + timedelta(milliseconds=fix["ms"])
    return {
        "_id": keys.fix_id(fix["user_id"], time.replace(tzinfo=None)),
        "minute_id": keys.minute_id(fix["user_id"], time),
        "mark": keys.mark(time, 0),
        "received_at": Timestamp(0, 0),
        **{name: fix[name] for name in ("lat", "long", "accuracy", "speed")},
    }


def counted(fix: dict[str, Any]) -> Counted:
    time = MIDNIGHT + timedelta(milliseconds=fix["ms"])
    values = {name: fix[name] for name in ("user_id", "lat", "long", "accuracy", "speed")}
    return Counted(Sent(wall=time.replace(tzinfo=None), tz="UTC", **values), time, timedelta())


def read(db: Database[Document], span: str) -> list[Document]:
    minutes = export.read(db, span=times.parse_resolution(span))
    return [bucket for page in minutes.pages for bucket in page]


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BUCKETS, some_fixes)
@example("1h", along(179.9, -179.9, 179.8, -179.5))
@example("1d", along(-90.0, 90.0, 0.0))
@example("1d", along(-90.1, 90.0, 0.0))
def test_a_bucket_is_the_mean_of_all_its_fixes(
    db: Database[Document], span: str, sent: list[dict[str, Any]]
) -> None:
    for collection in (db.fixes, db.minutes, db.watermarks):
        collection.delete_many({})
    db.fixes.insert_many(map(stored, sent))
    roll_up(db)
    found = read(db, span)
    wanted = averages(map(counted, sent), times.parse_resolution(span))
    assert [keys.parse_minute_id(bucket["_id"]) for bucket in found] == sorted(wanted)
    for bucket in found:
        means = wanted[keys.parse_minute_id(bucket["_id"])]
        assert bucket["count"] == means["count"]
        assert -180 <= bucket["long"] <= 180
        off = (bucket["long"] - means["long"] + 180) % 360 - 180  # 180 and -180 are one meridian
        assert off == pytest.approx(0, abs=1e-9)
        for name in ("lat", "accuracy", "speed"):
            assert bucket[name] == pytest.approx(means[name], rel=1e-9, abs=1e-9)


def state(time: str, **changed: Any) -> Document:
    sums = dict.fromkeys(buckets.STATE, 2.0)
    return {"_id": f"a\t2017-01-{time}", **sums, "west": 0, "count": 2, **changed}


def test_buckets_begin_at_midnight_utc_and_none_is_empty() -> None:
    pages = [[state("01T00:00"), state("01T06:59")], [state("01T07:00"), state("02T23:59")]]
    folded = [bucket for page in buckets.fold(pages, timedelta(hours=1)) for bucket in page]
    assert [(bucket["_id"][-11:], bucket["count"]) for bucket in folded] == [
        ("01-01T00:00", 2),
        ("01-01T06:00", 2),
        ("01-01T07:00", 2),
        ("01-02T23:00", 2),
    ]


def test_a_bucket_over_two_pages_is_one() -> None:
    pages = [[state("01T00:00", lat_sum=1.0)], [state("01T00:01", lat_sum=2.0, count=1)]]
    assert [bucket for page in buckets.fold(pages, timedelta(days=1)) for bucket in page] == [
        {
            "_id": "a\t2017-01-01T00:00",
            "lat": 1.0,
            "long": 4 / 3,
            "accuracy": 4 / 3,
            "speed": 4 / 3,
            "count": 3,
        }
    ]


@pytest.mark.parametrize("sums", [(1.7e308, 1.7e308), (float("inf"), 1.0)])
def test_sums_beyond_the_largest_number_stay_at_it(sums: tuple[float, float]) -> None:
    pages = [[state(f"01T00:0{n}", accuracy_sum=total) for n, total in enumerate(sums)]]
    (page,) = buckets.fold(pages, timedelta(hours=1))
    assert page[0]["accuracy"] == sys.float_info.max / 4


@pytest.mark.parametrize("text", ["7m", "90s", "0m", "2d", "25h", "5", "m"])
def test_a_resolution_that_does_not_divide_a_day_is_told_so(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' .*; write "):
        times.parse_resolution(text)
