"""A minute that cannot be folded stops nobody else's."""

import tempfile
from datetime import timedelta
from typing import Any

import bson
import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from pymongo.database import Database

from locapi.backup.differences import find_differences
from locapi.backup.dump import dump
from locapi.backup.restore import restore
from locapi.monitoring import backlog, status
from locapi.rollup import fold as rollup_fold
from locapi.rollup import quarantine, watermarks
from locapi.rollup.aggregation import MAX_MINUTE_FIXES
from locapi.rollup.erase import erase
from locapi.rollup.fold import due, fold_new_fixes
from locapi.rollup.prune import Pruned, prune
from locapi.rollup.verify import Drift, Report, verify
from locapi.storage import migrate
from locapi.storage.documents import Document
from tests.conftest import Locctl, Send, fresh_database
from tests.support.crashing import received_earlier
from tests.support.depth import examples
from tests.support.fixes import raw as a_raw

MINUTE = "a1\t2017-01-01T18:05"


pytestmark = pytest.mark.usefixtures("no_wait")


def raw(ms: int = 0, user_id: str = "a1", **values: Any) -> Document:
    return {**a_raw(ms, user_id, **values), "user_id": user_id}


def counts(db: Database[Document]) -> dict[str, int]:
    return {minute["_id"]: minute["count"] for minute in db.minutes.find()}


def fold(db: Database[Document], max_fixes: int = MAX_MINUTE_FIXES) -> int:
    return fold_new_fixes(db, max_fixes=max_fixes)


def test_a_minute_is_exact_up_to_the_bound_and_its_further_fixes_are_left_out(
    db: Database[Document],
) -> None:
    db.fixes.insert_many([raw(ms) for ms in range(3)])
    assert fold(db, max_fixes=3) == 3
    received_earlier(db, "fixes")
    db.fixes.insert_many([raw(3), raw(3, "b"), raw(60_000)])
    assert fold(db, max_fixes=3) == 2
    others = {"a1\t2017-01-01T18:06": 1, "b\t2017-01-01T18:05": 1}
    assert counts(db) == {MINUTE: 3, **others}
    (entry,) = quarantine.entries(db)
    assert (entry["_id"], entry["user_id"]) == (MINUTE, "a1")
    assert entry["reason"] == "it has more than 3 fixes"
    db.fixes.insert_one(raw(4))
    assert fold(db) == 2, "late fixes of the minute are left out, too"
    assert counts(db) == {MINUTE: 3, **others}


def test_a_new_minute_over_the_bound_stops_no_other(db: Database[Document]) -> None:
    db.fixes.insert_many([*(raw(ms) for ms in range(4)), *(raw(0, f"u{n}") for n in range(9))])
    assert fold(db, max_fixes=3) == 9
    assert counts(db) == {f"u{n}\t2017-01-01T18:05": 1 for n in range(9)}
    assert quarantine.minute_ids(db) == [MINUTE]


@hypothesis.settings(
    max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
    sent=st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=8)),
    bound=st.integers(1, 6),
)
def test_minutes_that_stay_below_the_bound_are_exact_and_others_count_no_more(
    db: Database[Document], sent: list[list[tuple[str, int]]], bound: int
) -> None:
    for name in ("fixes", "minutes", "watermarks", "quarantine"):
        db[name].delete_many({})
    every: dict[str, set[int]] = {}
    for fixes in sent:
        for user_id, ms in fixes:
            if ms not in every.setdefault(f"{user_id}\t2017-01-01T18:05", set()):
                every[f"{user_id}\t2017-01-01T18:05"].add(ms)
                db.fixes.insert_one(raw(ms, user_id, lat=float(ms)))
        fold(db, bound)
    found = {minute["_id"]: minute for minute in db.minutes.find()}
    assert set(quarantine.minute_ids(db)) == {id_ for id_, ms in every.items() if len(ms) > bound}
    for minute_id, numbers in every.items():
        if len(numbers) <= bound:
            assert found[minute_id]["lat_sum"] == sum(numbers)
            assert found[minute_id]["count"] == len(numbers)
        else:
            assert found.get(minute_id, {"count": 0})["count"] <= bound


MALFORMED: list[Document] = [
    *({"minute_id": value} for value in ("", "junk", "a\tb", "a\t2017-13-01T18:05", 5, None, [1])),
    {"long": "west"},
]


@pytest.mark.parametrize("values", MALFORMED, ids=repr)
@pytest.mark.parametrize("validated", [False, True])
def test_a_malformed_raw_fix_stops_no_other(
    db: Database[Document], values: Document, validated: bool
) -> None:
    db.fixes.insert_one(raw(0, "bad", **values))
    if validated:
        assert list(migrate.reconcile(db))
    for number in range(2):
        db.fixes.insert_one(raw(number), bypass_document_validation=True)
        fold(db)
        assert counts(db)[MINUTE] == number + 1
    assert due(db) > watermarks.NEVER
    (entry,) = quarantine.entries(db)
    assert (entry["user_id"], entry["reason"]) == ("bad", "a document of it is malformed")
    assert prune(db, timedelta(0)) == Pruned(deleted=2, unproven=0, newer=0, quarantined=1)
    drifts = list(verify(db, Report()))
    assert [drift.fault for drift in drifts] == [f"is in quarantine: {entry['reason']}"]


@pytest.mark.parametrize("minute_id", [5, None, [1], {"a": 1}], ids=repr)
def test_a_malformed_raw_fix_at_the_start_of_a_backlog_stops_no_other(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch, minute_id: Any
) -> None:
    monkeypatch.setattr(rollup_fold, "WINDOW_FIXES", 2)
    first = {**raw(0, "a1"), "_id": "bad", "minute_id": minute_id}
    db.fixes.insert_many([first, *(raw(number) for number in range(4))])
    assert fold(db) == 4
    assert counts(db) == {MINUTE: 4}
    assert quarantine.minute_ids(db) == [minute_id]


@pytest.mark.parametrize("values", [{"seen": 5}, {"long_sum": "x"}, {"count": "x"}], ids=repr)
def test_a_malformed_minute_stops_no_other(db: Database[Document], values: Document) -> None:
    db.fixes.insert_one(raw(0))
    fold(db)
    db.minutes.update_one({}, {"$set": values})
    db.fixes.insert_many([raw(1), raw(1, "b")])
    fold(db)
    assert counts(db)["b\t2017-01-01T18:05"] == 1
    assert quarantine.minute_ids(db) == [MINUTE]


def test_an_error_that_is_not_the_fault_of_a_document_is_raised(db: Database[Document]) -> None:
    db.drop_collection("minutes")
    db.command("create", "minutes", viewOn="fixes")  # into which nothing can be merged
    db.fixes.insert_one(raw())
    with pytest.raises(Exception, match="refused"):
        fold(db)
    assert quarantine.minute_ids(db) == []


@pytest.fixture
def quarantined(db: Database[Document]) -> Database[Document]:
    """Two counted fixes, two in quarantine, and one of another user."""
    db.fixes.insert_many([raw(0), raw(1)])
    fold(db)
    db.fixes.insert_many([raw(2), raw(3), raw(0, "b")])
    fold(db, max_fixes=2)
    assert quarantine.minute_ids(db) == [MINUTE]
    return db


def test_a_prune_keeps_the_fixes_of_a_minute_in_quarantine(
    quarantined: Database[Document],
) -> None:
    wanted = Pruned(deleted=1, unproven=0, newer=0, quarantined=4)
    assert prune(quarantined, timedelta(0)) == wanted
    assert quarantined.fixes.count_documents({}) == 4


def test_verify_lists_minutes_in_quarantine_and_folds_them_if_they_can_be(
    quarantined: Database[Document],
) -> None:
    fault = "is in quarantine: it has more than 2 fixes"
    report = Report()
    assert list(verify(quarantined, report)) == [Drift(MINUTE, fault, repaired=False)]
    assert (report.quarantined, report.drifts) == (1, 0)
    assert list(verify(quarantined, Report(), repair=True)) == [Drift(MINUTE, fault, repaired=True)]
    assert counts(quarantined)[MINUTE] == 4
    assert list(verify(quarantined, Report())) == []


def test_what_cannot_be_folded_stays_in_quarantine(db: Database[Document]) -> None:
    db.fixes.insert_one(raw(0, long="west"))
    fold(db)
    for repair in (False, True):
        (drift,) = verify(db, Report(), repair=repair)
        assert not drift.repaired
    assert quarantine.minute_ids(db) == [MINUTE]


def test_an_erasure_removes_a_users_minutes_in_quarantine(
    quarantined: Database[Document],
) -> None:
    erase(quarantined, "a1")
    assert quarantine.minute_ids(quarantined) == []
    assert {fix["user_id"] for fix in quarantined.fixes.find()} == {"b"}
    quarantined.fixes.insert_one(raw(5))
    fold(quarantined)
    assert counts(quarantined)[MINUTE] == 1


def test_status_and_metrics_report_the_quarantine(
    quarantined: Database[Document], locctl: Locctl
) -> None:
    found = status.read(quarantined, "here")
    assert found.quarantined_minutes == backlog.read(quarantined).quarantined_minutes == 1
    assert found.quarantined == ("2017-01-01T18:05 of user a1 (it has more than 2 fixes)",)
    shown = locctl("status")
    assert shown.returncode == 1
    assert "1 minute in quarantine" in shown.stdout
    assert "of user a1" in shown.stdout


def test_the_log_names_a_minute_in_quarantine_once_and_no_user(
    db: Database[Document], caplog: pytest.LogCaptureFixture
) -> None:
    db.fixes.insert_one(raw(0, "Johanna", long="west"))
    for _ in range(2):
        fold(db)
    (message,) = caplog.messages
    assert "2017-01-01T18:05" in message
    assert "Johanna" not in message


def test_a_dump_carries_the_quarantine(
    db: Database[Document], send: Send, mongodb_uri: str
) -> None:
    send("2017-01-01 13:05:01")
    fold(db)
    send("2017-01-01 13:05:02")
    fold(db, max_fixes=1)
    with tempfile.TemporaryFile() as file, fresh_database(mongodb_uri) as target:
        dump(db, file)
        for _ in range(2):
            restore(target, file)
        assert list(find_differences(target, file)) == []
        assert quarantine.minute_ids(target) == [MINUTE]
        fold(target)
        assert counts(target) == counts(db) == {MINUTE: 1}


def test_bound_of_a_minute_exceeds_its_milliseconds(db: Database[Document]) -> None:
    """At full size: up to the bound a minute is whole and small, and one fix more stops nobody."""
    for offset in (0, 3600):
        db.fixes.insert_many(raw(ms, utc_offset=offset) for ms in range(MAX_MINUTE_FIXES // 2))
    fold(db)
    (minute,) = db.minutes.find()
    assert minute["count"] == len(set(minute["seen"])) == MAX_MINUTE_FIXES > 60_000
    assert len(bson.encode(minute)) < 2_000_000
    db.fixes.insert_many([raw(59_999), raw(0, "b")])
    fold(db)
    assert counts(db) == {MINUTE: MAX_MINUTE_FIXES, "b\t2017-01-01T18:05": 1}
    assert quarantine.minute_ids(db) == [MINUTE]
