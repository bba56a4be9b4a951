"""A bucket longer than a minute is the plain mean of all its fixes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Timestamp
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from locapi import times
from locapi.exporters import buckets, query
from locapi.fixes import ids
from locapi.fixes.averages import AVERAGED, markers
from locapi.rollup.fold import fold_new_fixes
from locapi.storage.documents import Document
from tests.support.depth import examples
from tests.support.reference import Counted, Sent, averages, close

MIDNIGHT = datetime(2017, 1, 1, tzinfo=UTC)
BUCKETS = st.sampled_from(["2m", "5m", "15m", "45m", "1h", "8h", "1d"])

fixes = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from("ab"),
        "ms": st.integers(0, 2 * 86_400_000 - 1) | st.integers(0, 3_600_000),
        "lat": st.floats(-90, 90),
        "long": st.floats(-180, 180) | st.floats(179, 180) | st.floats(-180, -179),
        "accuracy": st.none() | st.floats(0, 1e9),
        "speed": st.none() | st.floats(0, 1e3),
    }
)
some_fixes = st.lists(
    fixes, min_size=1, max_size=25, unique_by=lambda fix: (fix["user_id"], fix["ms"])
)


def along(*longs: float) -> list[dict[str, Any]]:
    """Return a fix a minute at these longitudes."""
    rest = {"user_id": "a", "lat": 1.0, "accuracy": 1.0, "speed": 1.0}
    return [{"ms": 60_000 * minute, "long": long, **rest} for minute, long in enumerate(longs)]


def time_of(fix: dict[str, Any]) -> datetime:
    return MIDNIGHT + timedelta(milliseconds=fix["ms"])


def stored(fix: dict[str, Any]) -> Document:
    user_id, time = fix["user_id"], time_of(fix)
    return {
        "_id": ids.fix_id(user_id, time.replace(tzinfo=None)),
        "user_id": user_id,
        "slice": ids.slice_of(user_id),
        "minute_id": ids.minute_id(user_id, time),
        "seen_code": ids.seen_code(time, 0),
        "received_at": Timestamp(0, 0),
        **{name: fix[name] for name in AVERAGED},
        **markers(fix["accuracy"], fix["speed"]),
    }


def counted(fix: dict[str, Any]) -> Counted:
    values = {name: fix[name] for name in ("user_id", *AVERAGED)}
    wall = time_of(fix).replace(tzinfo=None)
    return Counted(Sent(wall=wall, tz="UTC", **values), time_of(fix), timedelta())


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BUCKETS, some_fixes)
@example("1h", along(179.9, -179.9, 179.8, -179.5))
@example("1d", along(-90.0, 90.0, 0.0))
@example("1d", along(-90.1, 90.0, 0.0))
def test_bucket_is_the_mean_of_all_its_fixes_also_across_pages(
    db: Database[Document], span: str, sent: list[dict[str, Any]]
) -> None:
    for collection in (db.fixes, db.minutes, db.watermarks):
        collection.delete_many({})
    db.fixes.insert_many(map(stored, sent))
    fold_new_fixes(db)
    with pytest.MonkeyPatch.context() as patch:
        for module in (query, buckets):
            patch.setattr(module, "PAGE_SIZE", 3)
        minutes = query.read(db, span=times.parse_resolution(span))
        found = [bucket for page in minutes.pages for bucket in page]
    wanted = averages(map(counted, sent), times.parse_resolution(span))
    assert [ids.parse_minute_id(bucket["_id"]) for bucket in found] == sorted(wanted)
    for bucket in found:
        means = wanted[ids.parse_minute_id(bucket["_id"])]
        assert bucket["count"] == means["count"]
        assert -180 <= bucket["long"] <= 180
        off = (bucket["long"] - means["long"] + 180) % 360 - 180  # 180 and -180 are one meridian
        assert off == pytest.approx(0, abs=1e-9)
        values = [bucket[name] for name in ("lat", "accuracy", "speed")]
        assert values == close(means[name] for name in ("lat", "accuracy", "speed"))


@pytest.mark.parametrize("text", ["7m", "90s", "0m", "2d", "25h", "5", "m"])
def test_resolution_must_divide_a_day_into_minutes(text: str) -> None:
    with pytest.raises(ValueError, match=rf"'{text}' .*\. Write "):
        times.parse_resolution(text)
