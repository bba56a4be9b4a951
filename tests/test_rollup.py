"""New fixes into minutes, each fix once."""

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from math import fsum
from typing import Any

import pytest
from bson import Timestamp
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from locapi import keys, mongo, rollup, watermarks, windows
from locapi.mongo import Document
from locapi.rollup import roll_up
from tests.conftest import Send
from tests.crashing import received_earlier
from tests.depth import examples

BASE = datetime(2017, 1, 1, 18, 5, tzinfo=UTC)


def raw(ms: int = 0, user_id: str = "a1", *, utc_offset: int = -18_000, **values: Any) -> Document:
    """Return a raw fix `ms` milliseconds after BASE."""
    time = BASE + timedelta(milliseconds=ms)
    wall = time.replace(tzinfo=None) + timedelta(seconds=utc_offset)
    return {
        "_id": keys.fix_id(user_id, wall),
        "minute_id": keys.minute_id(user_id, time),
        "mark": keys.mark(time, utc_offset),
        "received_at": Timestamp(0, 0),
        "slice": keys.slice_of(user_id),
        "lat": 40.0,
        "long": -74.0,
        "accuracy": 5.0,
        "speed": 1.0,
        **values,
    }


def minutes(db: Database[Document]) -> dict[str, tuple[Any, ...]]:
    """Return count and averages by key, and see that nothing else is kept that should not be."""
    found = {}
    for minute in db.minutes.find():
        assert "missing" not in minute
        assert len(minute["seen"]) == len(set(minute["seen"])) == minute["count"]
        assert minute["_id"] == keys.minute_id(minute["user_id"], minute["minute"])
        found[minute["_id"]] = tuple(
            minute[name] for name in ("count", "lat", "long", "accuracy", "speed")
        )
    return found


def expected(fixes: Iterable[Document]) -> dict[str, tuple[Any, ...]]:
    groups: dict[str, list[Document]] = {}
    for fix in fixes:
        groups.setdefault(fix["minute_id"], []).append(fix)
    return {
        key: (len(group), *(pytest.approx(mean, rel=1e-9, abs=1e-9) for mean in means(group)))
        for key, group in groups.items()
    }


def means(group: list[Document]) -> list[float]:
    longs = [fix["long"] for fix in group]
    if max(longs) - min(longs) > 180:
        longs = [long + 360 if long < 0 else long for long in longs]
    long = fsum(longs) / len(group)
    plain = [fsum(fix[name] for fix in group) / len(group) for name in ("lat", "accuracy", "speed")]
    return [plain[0], long - 360 if long > 180 else long, *plain[1:]]


def test_a_minute_is_the_simple_average_of_its_fixes(db: Database[Document], send: Send) -> None:
    send("2017-01-01 13:05:00", lat=40.0, long=-74.0, accuracy=5, speed=0)
    send("2017-01-01 13:05:59.999", lat=41.0, long=-73.0, accuracy=10, speed=3)
    send("2017-01-01 13:06:00", lat=50.0)
    roll_up(db)
    first, second = db.minutes.find().sort("_id")
    assert second["count"] == 1
    assert first == {
        "_id": "a1\t2017-01-01T18:05",
        "user_id": "a1",
        "minute": BASE,
        "count": 2,
        "lat": 40.5,
        "long": -73.5,
        "accuracy": 7.5,
        "speed": 1.5,
        "lat_sum": 81.0,
        "long_sum": -147.0,
        "accuracy_sum": 15.0,
        "speed_sum": 3.0,
        "long_min": -74.0,
        "long_max": -73.0,
        "west": 2,
        "seen": [keys.mark(BASE, -18_000), keys.mark(BASE + timedelta(seconds=59.999), -18_000)],
    }


def test_an_empty_database_rolls_up_to_nothing(db: Database[Document]) -> None:
    roll_up(db)
    roll_up(db)
    assert minutes(db) == {}


def test_two_local_timestamps_of_one_instant_are_two_fixes(db: Database[Document]) -> None:
    fixes = [raw(7, lat=1.0), raw(7, lat=2.0, utc_offset=-21_600)]
    db.fixes.insert_many(fixes)
    roll_up(db)
    assert minutes(db) == expected(fixes)


@pytest.mark.parametrize(
    ("longs", "average"),
    [
        ([179.9, -179.9], 180.0),
        ([-179.9, 179.9], 180.0),
        ([179.9, -179.7], -179.9),
        ([180.0, -180.0], 180.0),
        ([179.0, 179.0, -179.0], 179.0 + 2 / 3),
        ([-60.0, 60.0], 0.0),
        ([-90.0, 90.0], 0.0),
        ([-122.0, 121.0], 179.5),
        ([-0.1, 0.1], 0.0),
    ],
)
def test_a_minute_averages_longitudes_on_the_short_side(
    db: Database[Document], longs: list[float], average: float
) -> None:
    for ms, long in enumerate(longs):
        db.fixes.insert_one(raw(ms, long=long))
        roll_up(db)
    (minute,) = db.minutes.find()
    assert minute["long"] == pytest.approx(average, abs=1e-9)


def test_values_near_the_largest_double_stay_finite(db: Database[Document]) -> None:
    db.fixes.insert_many([raw(ms, accuracy=1.7e308) for ms in range(3)])
    roll_up(db)
    (minute,) = db.minutes.find()
    assert 0 < minute["accuracy"] < 1e309


def test_a_fix_that_becomes_visible_late_is_folded_all_the_same(db: Database[Document]) -> None:
    db.fixes.insert_one(raw(1))
    roll_up(db)
    db.fixes.insert_one(
        {**raw(2), "received_at": Timestamp(datetime.now(UTC) - rollup.MARGIN / 2, 0)}
    )
    roll_up(db)
    assert minutes(db) == expected([raw(1), raw(2)])


def test_what_is_older_than_the_watermark_is_not_read_again(db: Database[Document]) -> None:
    db.fixes.insert_one(raw(1))
    roll_up(db)
    db.fixes.insert_one(
        {**raw(2), "received_at": Timestamp(datetime.now(UTC) - 2 * rollup.MARGIN, 0)}
    )
    roll_up(db)
    assert minutes(db) == expected([raw(1)])


def test_a_clock_that_was_set_back_hides_no_fix(db: Database[Document]) -> None:
    ahead = watermarks.after(datetime.now(UTC) + timedelta(days=9))
    watermarks.write(db, watermarks.ROLLED_UP, ahead)
    db.fixes.insert_one(raw(1))
    roll_up(db)
    assert minutes(db) == expected([raw(1)])


def test_fixes_of_which_some_are_counted_already_count_once(db: Database[Document]) -> None:
    fixes = [raw(ms, lat=ms / 10) for ms in range(6)]
    db.fixes.insert_many(fixes)
    for some in ([0, 1], [1, 2, 3], [0, 3], [5, 4, 2]):
        rollup._fold(db, {"_id": {"$in": [fixes[i]["_id"] for i in some]}})
    (minute,) = db.minutes.find()
    assert minute["missing"], "the case that this test is about"
    roll_up(db)
    assert minutes(db) == expected(fixes)


def test_a_raw_fix_that_is_gone_does_not_keep_the_rollup_busy(db: Database[Document]) -> None:
    db.fixes.insert_many([raw(1), raw(2)])
    roll_up(db)
    db.minutes.update_one({}, {"$set": {"missing": [raw(3)["mark"]]}})
    roll_up(db)
    assert db.minutes.find_one({}, {"_id": 0, "count": 1}) == {"count": 2}


values = st.fixed_dictionaries(
    {
        "lat": st.floats(-90, 90),
        "long": st.floats(-180, 180) | st.sampled_from([180.0, -180.0, 179.9, -179.9]),
        "accuracy": st.floats(0, 1e6),
        "speed": st.floats(0, 100),
    }
)


def at(long: float) -> dict[str, float]:
    return {"lat": 0.0, "long": long, "accuracy": 0.0, "speed": 0.0}


batches = st.lists(st.lists(st.tuples(st.integers(0, 120), st.sampled_from("ab"), values)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(20))
@given(batches)
@example([[(second, "a", at(long)) for second, long in enumerate([180.0, -5e-324, -1.0])]])
def test_minutes_equal_a_reference_however_the_fixes_are_split(
    db: Database[Document], batches: list[list[tuple[int, str, dict[str, float]]]]
) -> None:
    for name in ("fixes", "minutes", "watermarks"):
        db[name].delete_many({})
    kept: dict[str, Document] = {}
    for batch in batches:
        for second, user_id, sent in batch:
            fix = {**raw(second * 1000, user_id), **sent}
            if fix["_id"] not in kept:
                kept[fix["_id"]] = fix
                db.fixes.insert_one(dict(fix))
        roll_up(db)
    assert minutes(db) == expected(kept.values())


shares = st.sampled_from([range(128), range(80), range(80, 128), range(60, 70), range(0)])
rounds = st.lists(st.tuples(batches, shares, st.booleans(), st.booleans()), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(20))
@given(rounds)
def test_minutes_equal_a_reference_however_the_slices_are_shared(
    db: Database[Document],
    rounds: list[tuple[list[list[tuple[int, str, dict[str, float]]]], range, bool, bool]],
) -> None:
    """Some fixes are of before there were slices, and some lie far behind where others are."""
    for name in ("fixes", "minutes", "watermarks"):
        db[name].delete_many({})
    kept: dict[str, Document] = {}
    for sent, share, old, hour_passes in rounds:
        for second, user_id, values in chain.from_iterable(sent):
            fix = {**raw(second * 1000, user_id), **values}
            if old:
                del fix["slice"]
            if fix["_id"] not in kept:
                kept[fix["_id"]] = fix
                db.fixes.insert_one(dict(fix))
        roll_up(db, share)
        if hour_passes:
            received_earlier(db, "fixes", "watermarks")
    roll_up(db, range(80, 128))
    roll_up(db, range(80))
    assert minutes(db) == expected(kept.values())


def test_a_share_is_folded_and_the_rest_is_left(db: Database[Document]) -> None:
    fixes = {user_id: raw(user_id=user_id) for user_id in "abcdefgh"}
    db.fixes.insert_many(fixes.values())
    for share, count in ((range(100), 4), (range(100, 128), 8)):
        roll_up(db, share)
        done = [fix for fix in fixes.values() if fix["slice"] < share.stop]
        assert len(done) == count
        assert minutes(db) == expected(done)


def test_the_slice_that_is_farthest_behind_says_what_is_due(db: Database[Document]) -> None:
    db.fixes.insert_many([raw(user_id="a1"), raw(user_id="a2")])
    roll_up(db, range(30))
    assert rollup.due(db) == Timestamp(0, 0)
    roll_up(db, range(30, 128))
    assert rollup.due(db).as_datetime() > datetime.now(UTC) - 6 * rollup.MARGIN


def test_a_watermark_of_before_there_were_slices_is_gone_on_from(db: Database[Document]) -> None:
    now = datetime.now(UTC)
    watermarks.write(db, watermarks.ROLLED_UP, Timestamp(now, 0))
    passed_by = {**raw(1), "received_at": Timestamp(now - 2 * rollup.MARGIN, 0)}
    new = {**raw(2), "received_at": Timestamp(now, 7)}
    old_new = {**raw(3), "received_at": Timestamp(now, 8)}
    del old_new["slice"]
    db.fixes.insert_many([passed_by, new, old_new])
    roll_up(db)
    assert minutes(db) == expected([new, old_new])


def test_what_a_new_primary_has_not_shown_yet_is_not_passed_by(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old primary said how far all is settled; the new one's first reads see less."""
    elections = iter(["first", "second", "second", "second"])
    settled = mongo.settled
    monkeypatch.setattr(mongo, "settled", lambda db: settled(db)._replace(election=next(elections)))
    fold_windows = rollup._fold_windows

    def fold_then_show(*arguments: Any) -> None:
        fold_windows(*arguments)
        hidden = {**raw(1), "received_at": Timestamp(datetime.now(UTC) - 3 * rollup.MARGIN, 1)}
        with suppress(DuplicateKeyError):
            db.fixes.insert_one(hidden)

    monkeypatch.setattr(rollup, "_fold_windows", fold_then_show)
    roll_up(db)
    assert minutes(db) == expected([raw(1)])
    assert next(elections, None) is None


def test_a_roll_up_lets_its_caller_keep_its_lease(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "_WINDOW", 7)
    db.fixes.insert_many([raw(ms * 1000) for ms in range(70)])
    kept: list[int] = []
    roll_up(db, keep=lambda: kept.append(1))
    assert len(kept) == 18  # nine windows, when they are made and when they are folded


def test_rollups_at_once_and_live_writes_count_each_fix_once(db: Database[Document]) -> None:
    shuffled = random.Random(1)
    fixes = [
        raw(ms * 37, user, lat=shuffled.uniform(-90, 90), long=shuffled.uniform(-180, 180))
        for ms in range(3000)
        for user in ("a", "b", "c")
    ]
    shuffled.shuffle(fixes)

    def write(start: int) -> None:
        for first in range(start, len(fixes), 400):
            db.fixes.insert_many(dict(fix) for fix in fixes[first : first + 100])

    with ThreadPoolExecutor(10) as threads:
        jobs = [threads.submit(write, start) for start in range(0, 400, 100)]
        jobs += [threads.submit(roll_up, db) for _ in range(30)]
        for job in jobs:
            job.result()
    roll_up(db)
    assert minutes(db) == expected(fixes)


def test_the_rollup_reads_by_index(db: Database[Document]) -> None:
    db.fixes.insert_many([raw(ms) for ms in range(100)])
    plan = db.command(
        "explain",
        {
            "aggregate": "fixes",
            "pipeline": rollup.pipeline(windows.since({None: Timestamp(1, 0), 5: Timestamp(2, 0)})),
            "cursor": {},
        },
        verbosity="queryPlanner",
    )
    assert "'stage': 'IXSCAN'" in str(plan)
    assert "COLLSCAN" not in str(plan)
    missing = db.minutes.find({"missing": {"$exists": True}}).explain()
    assert missing["queryPlanner"]["winningPlan"]["inputStage"]["stage"] == "IXSCAN"


def test_new_fixes_are_folded_by_windows_each_once(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "_WINDOW", 7)
    fixes = [
        raw(
            ms=number * 7_000,
            user_id=f"u{number % 3}",
            # Twenty at one time, which no window can part.
            received_at=Timestamp(5, max(20, number)),
        )
        for number in range(70)
    ]
    db.fixes.insert_many(fixes)
    starts = windows.starts(windows.ALL, [windows.BEGINNING] * len(windows.ALL))
    parts = [db.fixes.count_documents(window) for window in rollup._windows(db, starts)]
    assert sum(parts) == 70
    assert len(parts) > 3
    roll_up(db)
    assert minutes(db) == expected(fixes)
