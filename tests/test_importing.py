"""An import is the API's work in batches: the same fixes, by the same rules, in the same order."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from locapi import embedded, fixes, importing, keys, mongo
from locapi.app import create_app
from locapi.batches import BatchStore, Verdict
from locapi.errors import DatabaseUnavailable, InvalidFix, UnreadableFile
from locapi.importing import Tally, import_rows, reasons
from locapi.mongo import Document
from locapi.prune import prune
from locapi.readers.rows import Row
from locapi.schema import Fix
from locapi.settings import Settings
from tests import crashing
from tests.conftest import Commands, Send, a_fix
from tests.crashing import FOLDED, NEW, PRUNED, Crash, Scene, crash
from tests.depth import examples, moments
from tests.reference import Sent
from tests.test_histories import sent, tracks


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    crashing.no_wait(monkeypatch)
    monkeypatch.setattr(fixes, "HORIZON_TRUST_S", 0.0)


def as_row(number: int, fix: dict[str, Any]) -> Row:
    return Row(f"line {number}", fix, fix)


def rows(*timestamps: str, **fields: Any) -> list[Row]:
    """Return rows at these times, all else the same; numbers as readers have them."""
    made = [{"lat": 40.7, "long": -74.0, "accuracy": 5.0, "speed": 1.5, "user_id": "a1", **fields}]
    return [
        as_row(number, {"timestamp": timestamp, **made[0]})
        for number, timestamp in enumerate(timestamps, 1)
    ]


def as_sent(fix: Sent) -> dict[str, Any]:
    """Return a fix as a request has it."""
    return a_fix(
        timestamp=str(fix.wall),
        lat=fix.lat,
        long=fix.long,
        accuracy=fix.accuracy,
        speed=fix.speed,
        user_id=fix.user_id,
    )


def fix_of(row: Row) -> Fix:
    fix = importing.judge(row)
    assert isinstance(fix, Fix)
    return fix


def imported(db: Database[Document], some: list[Row]) -> list[str]:
    """Import rows and return their verdicts in a word."""
    batches = import_rows(BatchStore(db), some)
    return [in_a_word(outcome.verdict) for batch in batches for outcome in batch]


def in_a_word(verdict: Verdict) -> str:
    return "; ".join(reasons(verdict)) if isinstance(verdict, InvalidFix) else verdict


def answered(db: Database[Document], some: list[dict[str, Any]]) -> list[str]:
    """Send fixes one by one through the API and return their verdicts in a word."""
    api = create_app(database=db).test_client()
    return [verdict_of(api.put("/location", json=fix).get_json()) for fix in some]


def verdict_of(answer: dict[str, Any]) -> str:
    if "status" in answer:
        return str(answer["status"])
    error = answer["error"]
    return in_a_word(InvalidFix(error["message"], error["fields"]))


def stored(db: Database[Document]) -> list[Document]:
    return list(db.fixes.find({}, {"received_at": 0}).sort("_id", 1))


def set_to(db: Database[Document], documents: dict[str, list[Document]]) -> None:
    for name, each in documents.items():
        db[name].delete_many({})
        if each:
            db[name].insert_many(each)


odd = st.builds(
    Sent,
    st.sampled_from(["a", "", "\t"]),
    st.sampled_from([datetime(1960, 1, 1), datetime(9999, 12, 31), datetime(2017, 11, 5, 1, 30)]),
    st.just("America/New_York"),
    st.sampled_from([40.7, 90.5]),
    st.just(-74.0),
)


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(sent, max_size=4),
    is_pruned=st.booleans(),
    track=st.lists(tracks | st.lists(odd, max_size=2), min_size=1, max_size=4),
    size=st.integers(1, 40),
)
def test_an_import_is_what_the_api_makes_of_the_same_fixes_one_by_one(
    db: Database[Document], before: list[Sent], is_pruned: bool, track: list[list[Sent]], size: int
) -> None:
    """Also where timestamps repeat with other content, within a batch and from before."""
    set_to(db, {name: [] for name in crashing.COLLECTIONS})
    answered(db, [as_sent(fix) for fix in before])
    if is_pruned:
        prune(db, timedelta(0))
    scene = {name: list(db[name].find()) for name in crashing.COLLECTIONS}
    sent_fixes = [as_sent(fix) for part in track for fix in part]
    wanted = answered(db, sent_fixes), stored(db)
    set_to(db, scene)
    with mock.patch.object(importing, "BATCH", size):
        found = imported(db, [as_row(number, fix) for number, fix in enumerate(sent_fixes, 1)])
    assert (found, stored(db)) == wanted


def test_the_repeated_hour_within_one_batch_comes_out_as_sent_one_by_one(
    db: Database[Document],
) -> None:
    walls = ["00:50", "01:30", "01:59", "01:10", "01:30", "01:31", "02:00"]
    assert imported(db, rows(*(f"2017-11-05 {wall}:00" for wall in walls))) == [
        "stored",
        "stored",
        "stored",
        "stored",
        "duplicate",
        "stored",
        "stored",
    ]
    assert [fix["fix_time"].strftime("%H:%M") for fix in db.fixes.find().sort("fix_time", 1)] == [
        "04:50",
        "05:30",
        "05:59",
        "06:10",
        "06:31",
        "07:00",
    ]


def fix_times(db: Database[Document]) -> dict[str, str]:
    return {
        fix["local_time"]: f"{fix['fix_time']:%Y-%m-%dT%H:%M:%S} {fix['utc_offset'] / 3600:+g}"
        for fix in db.fixes.find()
    }


def test_a_time_with_an_offset_is_that_instant_and_the_wall_time_that_clocks_show_there(
    db: Database[Document],
) -> None:
    times = {
        "2017-01-01T18:05:12Z": "2017-01-01 13:05:12",
        "2017-03-12T06:59:59.5Z": "2017-03-12 01:59:59.500",  # before New York's spring change
        "2017-03-12T07:00:00Z": "2017-03-12 03:00:00",
        "2017-07-01T18:05:12.123999+02:00": "2017-07-01 12:05:12.123",
        "2017-11-05T05:30:00Z": "2017-11-05 01:30:00",  # the first and the second reading
        "2017-11-05T06:31:00Z": "2017-11-05 01:31:00",
        "2017-12-01 18:05:12+00:00": "2017-12-01 13:05:12",
        "2017-12-02 18:05:12.25+00": "2017-12-02 13:05:12.250",
        "2017-12-03T18:05:12.123456789-0530": "2017-12-03 18:35:12.123",
    }
    assert set(imported(db, rows(*times))) == {"stored"}
    assert set(fix_times(db)) == set(times.values())
    assert fix_times(db)["2017-11-05 01:30:00"] == "2017-11-05T05:30:00 -4"
    assert fix_times(db)["2017-11-05 01:31:00"] == "2017-11-05T06:31:00 -5"
    assert fix_times(db)["2017-12-03 18:35:12.123"] == "2017-12-03T23:35:12 -5"
    assert [fix["_id"].split("\t")[1] for fix in db.fixes.find().sort("_id", 1)] == sorted(
        datetime.fromisoformat(wall).isoformat(" ", "milliseconds") for wall in times.values()
    )


def test_the_offset_tells_the_second_reading_with_no_later_fix_before_it(
    db: Database[Document],
) -> None:
    assert imported(db, rows("2017-11-05T06:30:00Z", "2017-11-05T05:40:00Z")) == ["stored"] * 2
    assert fix_times(db) == {
        "2017-11-05 01:30:00": "2017-11-05T06:30:00 -5",
        "2017-11-05 01:40:00": "2017-11-05T05:40:00 -4",
    }


@pytest.mark.parametrize("is_pruned", [False, True])
@pytest.mark.parametrize(
    ("phone", "file"),
    [
        ("2017-01-01 13:05:12", "2017-01-01T18:05:12.000Z"),
        ("2017-11-05 01:30:00", "2017-11-05T05:30:00Z"),
        ("2017-11-05 01:30:00", "2017-11-05T06:30:00Z"),  # the key is the local time
    ],
)
def test_a_fix_from_the_phone_and_the_same_with_an_offset_are_one(
    db: Database[Document], send: Send, phone: str, file: str, is_pruned: bool
) -> None:
    send(phone)
    if is_pruned:
        prune(db, timedelta(0))
    assert imported(db, rows(file)) == ["duplicate"]
    assert db.fixes.count_documents({}) == (0 if is_pruned else 1)


def test_an_imported_fix_is_the_duplicate_of_the_phone_too(
    db: Database[Document], send: Send
) -> None:
    imported(db, rows("2017-11-05T06:30:00Z"))
    assert send("2017-11-05 01:30:00") == {
        "status": "duplicate",
        "fix_time": "2017-11-05T06:30:00Z",
        "tz": "America/New_York",
    }


@pytest.mark.parametrize(
    "timestamp",
    [
        "2017-02-30T13:05:00Z",
        "2017-01-02T13:05:00",  # no offset
        "2017-01-02 13:05:00Z",
        "2017-01-02T13:05Z",
        "2017-01-02T13:05:00+25:00",
        "2017-01-02T13:05:00Z\n",
        "٢٠١٧-01-02T13:05:00Z",
        1_483_380_300.0,
        None,
    ],
)
def test_what_is_no_time_is_rejected_by_the_rule_of_the_api(
    db: Database[Document], timestamp: Any
) -> None:
    (told,) = imported(db, rows(timestamp))
    assert told.startswith("timestamp: must be a local date and time such as 2017-01-01 13:05:12")


@pytest.mark.parametrize(
    "timestamp",
    [
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "2999-01-01T00:00:00Z",
    ],
)
def test_an_instant_out_of_range_is_rejected(db: Database[Document], timestamp: str) -> None:
    (told,) = imported(db, rows(timestamp))
    assert told.startswith(
        "timestamp: must mean an instant from 1970-01-01 UTC to one day from now"
    )


def test_a_batch_of_new_fixes_is_one_insert(
    watched: Database[Document], commands: Commands
) -> None:
    store = BatchStore(watched)
    list(import_rows(store, rows("2017-01-01 13:00:00")))
    commands.names.clear()
    some = rows(*(f"2017-01-01 13:{second // 60 + 1:02}:{second % 60:02}" for second in range(900)))
    list(import_rows(store, some))
    assert commands.names.count("insert") == 1
    assert set(commands.names) <= {"insert", "find"}
    assert len(commands.names) <= 2  # how far it was pruned may be looked at


def test_of_old_fixes_a_batch_looks_for_all_at_once(
    watched: Database[Document], commands: Commands, send: Send
) -> None:
    some = [f"2017-01-01 13:{second // 60:02}:{second % 60:02}" for second in range(900)]
    for timestamp in some[::300]:
        send(timestamp)
    prune(watched, timedelta(0))
    store = BatchStore(watched)
    list(import_rows(store, rows("2017-01-01 12:00:00")))
    commands.names.clear()
    tally = Tally()
    for outcomes in import_rows(store, rows(*some)):
        tally.add(outcomes)
    assert (tally.stored, tally.duplicate) == (897, 3)
    assert commands.names.count("find") <= 3
    assert commands.names.count("insert") == 1


TRACK = [
    *(as_sent(fix) for fix in (*PRUNED[:3], *FOLDED, *NEW)),
    a_fix(timestamp="2017-11-05 01:40:00", user_id="a"),  # in the repeated hour
    a_fix(timestamp="2017-11-05 01:40:00", user_id="a", lat=40.9),
    a_fix(timestamp="2017-01-01 13:05:09", user_id="a"),
    a_fix(timestamp="2017-01-01 13:05:09", user_id="a", lat=40.9),
    a_fix(timestamp="2017-11-05T06:50:00Z", user_id="b"),
    a_fix(timestamp="2017-11-05T05:50:00Z", user_id="b"),
    a_fix(timestamp="2017-01-01 13:05:10", user_id="b"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_import_that_ends_at_any_command_is_made_good_by_running_it_again(
    db: Database[Document], mongodb_uri: str, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    monkeypatch.setattr(importing, "BATCH", 4)
    some = [as_row(number, fix) for number, fix in enumerate(TRACK, 1)]
    scene = Scene.play(db)
    scene.set(db)
    imported(db, some)
    wanted = stored(db)
    with crashing.crashing(mongodb_uri, db) as (ending, crasher):
        for command in moments(str(after)):
            scene.set(db)
            reported: list[importing.Outcome] = []
            with crasher.at(command, after=after, end=crash), suppress(Crash):
                for outcomes in import_rows(BatchStore(ending), some):
                    reported += outcomes
            there = {fix["_id"] for fix in db.fixes.find({}, {"_id": 1})}
            new = [fix_of(each.row) for each in reported if each.verdict == "stored"]
            assert {keys.fix_id(fix.user_id, fix.wall) for fix in new} <= there
            if not crasher.reached:
                break
            imported(db, some)
            assert stored(db) == wanted
            assert set(imported(db, some)) == {"duplicate"}
        assert 8 < len(crasher.sent) <= command


def test_what_is_reported_stored_is_on_disk_and_the_rest_is_not_reported(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    stamps = [f"2017-01-01 13:00:{second:02}" for second in range(10)]
    batches = import_rows(BatchStore(db), rows(*stamps))
    reported = [fix_of(outcome.row).local_time for outcome in next(batches)]
    assert reported == stamps[:2]
    assert set(fix_times(db)) >= set(reported)
    batches.close()  # as at Ctrl-C
    assert len(fix_times(db)) <= 4


def test_what_comes_before_a_break_is_stored(db: Database[Document]) -> None:
    def broken() -> Iterator[Row]:
        yield from rows("2017-01-01 13:00:00", "2017-01-01 13:00:01")
        raise UnreadableFile("x cannot be read on after line 2")

    batches = import_rows(BatchStore(db), broken())
    assert [outcome.verdict for outcome in next(batches)] == ["stored", "stored"]
    with pytest.raises(UnreadableFile):
        next(batches)
    assert len(fix_times(db)) == 2


def test_a_database_that_is_killed_meanwhile_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 50)
    monkeypatch.setattr(importing, "RETRY_AFTER_S", 0.2)
    some = rows(*(f"2017-01-01 13:{second // 60:02}:{second % 60:02}" for second in range(600)))

    def killing() -> Iterator[Row]:
        yield from some[:300]
        os.kill(int((tmp_path / "mongod.pid").read_text()), signal.SIGKILL)
        yield from some[300:]

    with embedded.mongod(tmp_path) as uri:
        with mongo.open_database(Settings(mongodb_uri=uri)) as db:
            mongo.prepare(db)
            outcomes = [each for some in import_rows(BatchStore(db), killing()) for each in some]
            assert [outcome.row for outcome in outcomes] == some
            assert {outcome.verdict for outcome in outcomes} <= {"stored", "duplicate"}
            assert len(fix_times(db)) == 600


def test_a_batch_is_tried_again_while_the_database_is_away(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "RETRY_AFTER_S", 0)
    told: list[str] = []
    away, put = [DatabaseUnavailable("away"), DatabaseUnavailable("still")], BatchStore.put_many

    def put_many(store: BatchStore, some: list[Fix]) -> list[Verdict]:
        if away:
            raise away.pop(0)
        return put(store, some)

    with mock.patch.object(BatchStore, "put_many", put_many):
        batches = import_rows(
            BatchStore(db), rows("2017-01-01 13:00:00"), lambda error: told.append(str(error))
        )
        assert [outcome.verdict for some in batches for outcome in some] == ["stored"]
    assert told == ["away", "still"]


def test_a_database_that_stays_away_ends_the_import(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "RETRY_AFTER_S", 0)
    monkeypatch.setattr(importing, "PATIENCE_S", 0)
    away = DatabaseUnavailable("away")
    with mock.patch.object(BatchStore, "put_many", side_effect=away) as put:
        with pytest.raises(DatabaseUnavailable):
            imported(db, rows("2017-01-01 13:00:00"))
    assert put.call_count == 1


def test_a_write_that_too_few_confirm_is_not_reported(db: Database[Document]) -> None:
    store = BatchStore(db)
    unsure = {"writeErrors": [], "writeConcernErrors": [{"code": 64, "errmsg": "waiting"}]}
    with mock.patch(
        "pymongo.collection.Collection.insert_many", side_effect=BulkWriteError(unsure)
    ):
        with pytest.raises(DatabaseUnavailable):
            store.put_many([fix_of(row) for row in rows("2017-01-01 13:00:00")])


def test_reasons_are_counted_each_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_MOST_REASONS", 2)
    tally = Tally()
    (row,) = rows("2017-01-01 13:00:00")
    faults = [
        InvalidFix("the fix breaks the rules", {"lat": ["x (sent: 95)"], "speed": ["y"]}),
        InvalidFix("no JSON"),
        InvalidFix("no object"),
        InvalidFix("the fix breaks the rules", {"lat": ["x"]}),
    ]
    tally.add(importing.Outcome(row, fault) for fault in faults)
    tally.add([importing.Outcome(row, "stored"), importing.Outcome(row, "duplicate")])
    assert (tally.stored, tally.duplicate, tally.rejected, tally.rows) == (1, 1, 4, 6)
    assert tally.reasons == {"lat: x": 2, "speed: y": 1, "other reasons": 2}
