"""New fixes are folded into minutes, each once."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import Timestamp
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from locapi.fixes import ids
from locapi.rollup import aggregation, fold, watermarks, windows
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import migrate, mongo, read_points
from locapi.storage.documents import Document
from tests.conftest import Send
from tests.support.crashing import received_earlier
from tests.support.depth import examples
from tests.support.fixes import BASE, fold_alone, raw
from tests.support.mongod import running
from tests.support.reference import AVERAGED, means


def minutes(db: Database[Document]) -> dict[str, tuple[Any, ...]]:
    """Return count and averages by id; fail if a minute contradicts itself."""
    found = {}
    for minute in db.minutes.find():
        assert "missing" not in minute
        assert len(minute["seen"]) == len(set(minute["seen"])) == minute["count"]
        assert minute["_id"] == ids.minute_id(minute["user_id"], minute["minute"])
        found[minute["_id"]] = tuple(minute[name] for name in ("count", *AVERAGED))
    return found


def expected(fixes: Iterable[Document]) -> dict[str, tuple[Any, ...]]:
    groups: dict[str, list[Document]] = {}
    for fix in fixes:
        groups.setdefault(fix["minute_id"], []).append(fix)
    return {
        key: (len(group), *(pytest.approx(mean, rel=1e-9, abs=1e-9) for mean in means(group)))
        for key, group in groups.items()
    }


def received(ago: timedelta) -> Timestamp:
    return Timestamp(datetime.now(UTC) - ago, 1)


def test_a_minute_is_the_simple_average_of_its_fixes(db: Database[Document], send: Send) -> None:
    send("2017-01-01 13:05:00", lat=40.0, long=-74.0, accuracy=5, speed=0)
    send("2017-01-01 13:05:59.999", lat=41.0, long=-73.0, accuracy=10, speed=3)
    send("2017-01-01 13:06:00", lat=50.0)
    fold_new_fixes(db)
    first, second = db.minutes.find({}, {"changed_at": 0}).sort("_id")
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
        "accuracy_count": 2,
        "speed_count": 2,
        "long_min": -74.0,
        "long_max": -73.0,
        "west": 2,
        "seen": [
            ids.seen_code(BASE, -18_000),
            ids.seen_code(BASE + timedelta(seconds=59.999), -18_000),
        ],
    }


def test_a_fold_returns_how_many_fixes_were_received_since_the_last_one(
    db: Database[Document],
) -> None:
    assert fold_new_fixes(db) == 0
    db.fixes.insert_many([raw(1), raw(2), raw(3, "a2")])
    assert fold_new_fixes(db) == 3
    received_earlier(db, "fixes")
    db.fixes.insert_one(raw(4))
    assert fold_new_fixes(db) == 1
    assert fold_new_fixes(db, range(0)) == 0


def test_a_fix_that_becomes_visible_late_is_folded_within_the_margin(
    db: Database[Document],
) -> None:
    db.fixes.insert_one(raw(1))
    fold_new_fixes(db)
    late = {**raw(2), "received_at": received(fold.MARGIN / 2)}
    too_late = {**raw(3), "received_at": received(2 * fold.MARGIN)}
    db.fixes.insert_many([late, too_late])
    fold_new_fixes(db)
    assert minutes(db) == expected([raw(1), late])


def test_a_clock_that_was_set_back_hides_no_fix(db: Database[Document]) -> None:
    ahead = watermarks.after(datetime.now(UTC) + timedelta(days=9))
    watermarks.advance_rollup(db, windows.ALL_SLICES, ahead)
    db.fixes.insert_one(raw(1))
    fold_new_fixes(db)
    assert minutes(db) == expected([raw(1)])


def test_a_missing_fix_with_its_utc_offset_in_its_id_is_folded(db: Database[Document]) -> None:
    """As an instant has it whose local time is taken by another instant."""
    plain, with_offset = raw(1, lat=1.0), raw(2, lat=2.0)
    with_offset["_id"] += "-05:00"
    db.fixes.insert_many([plain, with_offset])
    fold_alone(db, plain["_id"])
    received_earlier(db, "fixes")
    fold_alone(db, plain["_id"], with_offset["_id"])
    assert minutes_missing(db) == [[with_offset["seen_code"]]]
    watermarks.advance_rollup(db, windows.ALL_SLICES, received(timedelta()))
    fold_new_fixes(db)
    assert minutes(db) == expected([plain, with_offset])


def minutes_missing(db: Database[Document]) -> list[list[int]]:
    return [minute["missing"] for minute in db.minutes.find({"missing": {"$exists": True}})]


def test_a_missing_fix_that_was_deleted_does_not_keep_the_fold_busy(
    db: Database[Document],
) -> None:
    db.fixes.insert_many([raw(1), raw(2)])
    fold_new_fixes(db)
    db.minutes.update_one({}, {"$set": {"missing": [raw(3)["seen_code"]]}})
    fold_new_fixes(db)
    assert db.minutes.find_one({}, {"_id": 0, "count": 1}) == {"count": 2}


values = st.fixed_dictionaries(
    {
        "lat": st.floats(-90, 90),
        "long": st.floats(-180, 180) | st.sampled_from([180.0, -180.0, 179.9, -179.9]),
        "accuracy": st.floats(0, 1e6),
        "speed": st.floats(0, 100),
    }
)
fixes = st.builds(
    lambda second, user_id, values: raw(second * 1000, user_id, **values),
    st.integers(0, 120),
    st.sampled_from("ab"),  # in slices 67 and 121
    values,
)
slices = st.sampled_from([range(128), range(80), range(80, 128), range(60, 70), range(0)])
rounds = st.lists(st.tuples(st.lists(fixes), slices, st.booleans()), max_size=6)
STRADDLING = [raw(ms, long=long) for ms, long in enumerate([180.0, -5e-324, -1.0])]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(30))
@given(rounds, st.sampled_from([2, 5, fold.WINDOW_FIXES]))
@example([(STRADDLING, range(128), False)], 2)
@example([(STRADDLING, range(128), False)], fold.WINDOW_FIXES)
def test_minutes_equal_a_reference_however_the_work_is_split(
    db: Database[Document],
    monkeypatch: pytest.MonkeyPatch,
    rounds: list[tuple[list[Document], range, bool]],
    window: int,
) -> None:
    """Over rounds, windows, and slices of which some are far behind others."""
    monkeypatch.setattr(fold, "WINDOW_FIXES", window)
    for name in ("fixes", "minutes", "watermarks"):
        db[name].delete_many({})
    kept: dict[str, Document] = {}
    for sent, some_slices, hour_passes in rounds:
        for fix in sent:
            if kept.setdefault(fix["_id"], fix) is fix:
                db.fixes.insert_one(dict(fix))
        fold_new_fixes(db, some_slices)
        if hour_passes:
            received_earlier(db, "fixes", "watermarks")
    fold_new_fixes(db, range(80, 128))
    fold_new_fixes(db, range(80))
    assert minutes(db) == expected(kept.values())


def test_slices_of_other_roll_ups_are_skipped_and_hold_back_due(db: Database[Document]) -> None:
    fixes = [raw(user_id=user_id) for user_id in "abcdefgh"]
    db.fixes.insert_many(fixes)
    fold_new_fixes(db, range(100))
    done = [fix for fix in fixes if fix["slice"] < 100]
    assert len(done) == 4
    assert minutes(db) == expected(done)
    assert fold.due(db) == Timestamp(0, 0)
    fold_new_fixes(db, range(100, 128))
    assert minutes(db) == expected(fixes)
    assert fold.due(db).as_datetime() > datetime.now(UTC) - 6 * fold.MARGIN


def test_fixes_that_a_new_primary_shows_late_are_folded(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old primary's read point is ahead of what the new one shows at first."""
    elections = iter(["first", "second", "second", "second"])
    read = read_points.majority_read_point

    def read_point(db: Database[Document]) -> read_points.MajorityReadPoint:
        election = next(elections)
        if election == "second":
            hidden = {**raw(1), "received_at": received(3 * fold.MARGIN)}
            with suppress(DuplicateKeyError):
                db.fixes.insert_one(hidden)
        return read(db)._replace(election=election)

    monkeypatch.setattr(read_points, "majority_read_point", read_point)
    fold_new_fixes(db)
    assert minutes(db) == expected([raw(1)])
    assert next(elections, None) is None


def test_many_fixes_are_folded_by_windows_and_the_lease_is_renewed_with_each(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold, "WINDOW_FIXES", 7)
    times = [Timestamp(5, max(20, number)) for number in range(70)]  # 20 at once, in no two windows
    fixes = [
        raw(number * 7_000, f"u{number % 3}", received_at=time) for number, time in enumerate(times)
    ]
    db.fixes.insert_many(fixes)
    renewed: list[int] = []
    assert fold_new_fixes(db, renew=lambda: renewed.append(1)) == 70
    assert minutes(db) == expected(fixes)
    assert len(renewed) > 2 * 3  # before and after each window


def test_ctrl_c_does_not_wait_for_a_fold_that_the_database_holds_up(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a fold waits for a majority while there is none."""
    monkeypatch.setattr(fold, "WINDOW_FIXES", 2)
    with running(memory_path) as host, ThreadPoolExecutor(1) as thread:
        uri = f"mongodb://{host}/?directConnection=true"
        with mongo.open_database(Settings(mongodb_uri=uri)) as db:
            migrate.prepare(db)
            db.fixes.insert_many([raw(ms) for ms in range(9)])
            admin = db.client.admin

            def interrupt_the_second_window() -> None:
                if not admin.command("currentOp").get("fsyncLock"):
                    admin.command("fsync", lock=True)
                else:
                    raise KeyboardInterrupt

            folding = thread.submit(fold_new_fixes, db, renew=interrupt_the_second_window)
            try:
                assert isinstance(folding.exception(30), KeyboardInterrupt)
            finally:
                admin.command("fsyncUnlock")
            fold_new_fixes(db)
            assert [minute["count"] for minute in db.minutes.find()] == [9]


def test_minutes_of_a_backlog_are_added_to_those_that_exist(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if many windows have new minutes only, and one has fixes that cannot be folded."""
    monkeypatch.setattr(fold, "WINDOW_FIXES", 2)
    counted = [raw(1, "u5"), raw(1, "u6")]
    db.fixes.insert_many(counted)
    fold_new_fixes(db)
    received_earlier(db, "fixes")
    marks = db.minutes.distinct("changed_at")
    new = [raw(ms, f"u{user}") for user in range(9) for ms in range(5)]
    new = [fix for fix in new if fix not in counted]
    db.fixes.insert_many([*new, {**raw(1, "bad"), "long": "west"}])
    assert fold_new_fixes(db) == len(new)
    assert minutes(db) == expected([*counted, *new])
    assert db.minutes.count_documents({"changed_at": {"$in": marks}}) == 0


def test_the_fold_reads_by_index(db: Database[Document]) -> None:
    db.fixes.insert_many([raw(ms) for ms in range(100)])
    new = windows.since({4: Timestamp(1, 0), 5: Timestamp(2, 0)})
    command = {
        "aggregate": "fixes",
        "pipeline": aggregation.fold(new, datetime.now(UTC)),
        "cursor": {},
    }
    plan = str(db.command("explain", command, verbosity="queryPlanner"))
    assert "'stage': 'IXSCAN'" in plan
    assert "COLLSCAN" not in plan
    missing = db.minutes.find({"missing": {"$exists": True}}).explain()
    assert missing["queryPlanner"]["winningPlan"]["inputStage"]["stage"] == "IXSCAN"
