"""An import is the API's work in batches: the same fixes, by the same rules, in the same order."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from locapi.api.app import create_app
from locapi.errors import DatabaseUnavailable, InvalidFix
from locapi.fixes import ids
from locapi.fixes.validation import Fix
from locapi.importers import pipeline
from locapi.importers.fields import FieldMapping
from locapi.importers.judge import judge
from locapi.importers.pipeline import Outcome, import_rows
from locapi.importers.reasons import reasons
from locapi.importers.row import BrokenFile, Row
from locapi.ingest import known_fixes
from locapi.ingest.store import FixStore, Receipt
from locapi.rollup.prune import prune
from locapi.storage.documents import Document
from tests.conftest import Commands, Send, a_fix
from tests.support import crashing
from tests.support.crashing import FOLDED, NEW, PRUNED, Crash, Scene, crash
from tests.support.depth import examples, moments
from tests.support.reference import Sent
from tests.support.strategies import sent, tracks

pytestmark = pytest.mark.usefixtures("no_wait")


def as_row(number: int, fix: dict[str, Any]) -> Row:
    return FieldMapping().row(f"line {number}", fix)


def rows(*timestamps: str, **fields: Any) -> list[Row]:
    """Return rows at these times, all else the same; numbers as readers have them."""
    made = [{"lat": 40.7, "long": -74.0, "accuracy": 5.0, "speed": 1.5, "user_id": "a1", **fields}]
    return [
        as_row(number, {"timestamp": timestamp, **made[0]})
        for number, timestamp in enumerate(timestamps, 1)
    ]


def as_sent(fix: Sent) -> dict[str, Any]:
    """Return a fix as a PUT has it: nothing is unknown."""
    return a_fix(
        timestamp=str(fix.wall),
        lat=fix.lat,
        long=fix.long,
        accuracy=fix.accuracy or 0.0,
        speed=fix.speed or 0.0,
        user_id=fix.user_id,
    )


def fix_of(row: Row) -> Fix:
    fix = judge(row)
    assert isinstance(fix, Fix)
    return fix


def imported(db: Database[Document], some: list[Row]) -> list[str]:
    """Import rows and return what became of each in a word."""
    batches = import_rows(FixStore(db), some)
    return [in_a_word(outcome) for batch in batches for outcome in batch]


def in_a_word(outcome: Outcome) -> str:
    return "rejected" if isinstance(outcome.verdict, InvalidFix) else outcome.verdict


def answered(db: Database[Document], some: list[dict[str, Any]]) -> list[str]:
    """Send fixes one by one through the API and return what became of each in a word."""
    api = create_app(database=db).test_client()
    answers = (api.put("/location", json=fix).get_json() for fix in some)
    return [str(answer.get("status", "rejected")) for answer in answers]


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
    many=st.sampled_from([1, known_fixes.MANY]),
)
def test_an_import_is_what_the_api_makes_of_the_same_fixes_one_by_one(
    db: Database[Document],
    before: list[Sent],
    is_pruned: bool,
    track: list[list[Sent]],
    size: int,
    many: int,
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
    with mock.patch.object(pipeline, "BATCH", size), mock.patch.object(known_fixes, "MANY", many):
        found = imported(db, [as_row(number, fix) for number, fix in enumerate(sent_fixes, 1)])
    assert (found, stored(db)) == wanted


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
    }
    assert set(imported(db, rows(*times))) == {"stored"}
    assert set(fix_times(db)) == set(times.values())
    assert fix_times(db)["2017-11-05 01:30:00"] == "2017-11-05T05:30:00 -4"
    assert fix_times(db)["2017-11-05 01:31:00"] == "2017-11-05T06:31:00 -5"
    assert [fix["_id"].split("\t")[1] for fix in db.fixes.find().sort("_id", 1)] == sorted(
        datetime.fromisoformat(wall).isoformat(" ", "milliseconds") for wall in times.values()
    )


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
    ((outcome,),) = import_rows(FixStore(db), rows(timestamp))
    assert isinstance(outcome.verdict, InvalidFix)
    (reason,) = reasons(outcome.verdict)
    assert reason.startswith(
        "timestamp: must be between 1970-01-01 UTC and one day from now (found: "
    )
    assert json.loads(outcome.content)["lat"] == 40.7


@pytest.mark.parametrize(
    ("timestamp", "hint"),
    [
        ("2024-06-15 10:30:00 CEST", "write the zone as an offset such as +02:00, or remove it"),
        ("2024-06-15T10:30:00[Europe/Berlin]", "write the zone as an offset"),
        ("2024-02-30 10:30:00 UTC", "no such date and time in the calendar"),
        ("2024-06-15 10:30", "the seconds are missing"),
    ],
)
def test_a_time_that_cannot_be_read_gets_a_hint(timestamp: str, hint: str) -> None:
    (row,) = rows(timestamp)
    fault = judge(row)
    assert isinstance(fault, InvalidFix)
    assert f"; {hint}" in reasons(fault)[0]


def test_a_batch_of_new_fixes_is_one_insert(
    watched: Database[Document], commands: Commands
) -> None:
    store = FixStore(watched)
    list(import_rows(store, rows("2017-01-01 13:00:00")))
    commands.names.clear()
    some = rows(*(f"2017-01-01 13:{second // 60 + 1:02}:{second % 60:02}" for second in range(900)))
    list(import_rows(store, some))
    assert commands.names.count("insert") == 1
    assert set(commands.names) <= {"insert", "find"}
    # How far it was pruned may be looked at, and whether the first fix is stored.
    assert len(commands.names) <= 3


def test_old_fixes_of_a_batch_are_looked_up_at_once(
    watched: Database[Document], commands: Commands, send: Send
) -> None:
    some = [f"2017-01-01 13:{second // 60:02}:{second % 60:02}" for second in range(900)]
    for timestamp in some[::300]:
        send(timestamp)
    prune(watched, timedelta(0))
    store = FixStore(watched)
    list(import_rows(store, rows("2017-01-01 12:00:00")))
    commands.names.clear()
    outcomes = [each for batch in import_rows(store, rows(*some)) for each in batch]
    assert Counter(map(in_a_word, outcomes)) == {"stored": 897, "duplicate": 3}
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
def test_an_import_that_ends_at_any_command_is_completed_by_running_it_again(
    db: Database[Document], mongodb_uri: str, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    monkeypatch.setattr(pipeline, "BATCH", 4)
    some = [as_row(number, fix) for number, fix in enumerate(TRACK, 1)]
    fixes = {row.place: fix_of(row) for row in some}
    scene = Scene.play(db)
    scene.set(db)
    imported(db, some)
    wanted = stored(db)
    with crashing.crashing(mongodb_uri, db) as (ending, crasher):
        for command in moments(str(after)):
            scene.set(db)
            reported: list[Outcome] = []
            with crasher.at(command, after=after, end=crash), suppress(Crash):
                for outcomes in import_rows(FixStore(ending), some):
                    reported += outcomes
            there = {fix["_id"] for fix in db.fixes.find({}, {"_id": 1})}
            new = [fixes[each.place] for each in reported if each.verdict == "stored"]
            assert {ids.fix_id(fix.user_id, fix.wall) for fix in new} <= there
            if not crasher.reached:
                break
            imported(db, some)
            assert stored(db) == wanted
            assert set(imported(db, some)) == {"duplicate"}
        assert 8 < len(crasher.sent) <= command


def test_rows_before_a_break_are_stored(db: Database[Document]) -> None:
    def broken() -> Iterator[Row]:
        yield from rows("2017-01-01 13:00:00", "2017-01-01 13:00:01")
        raise BrokenFile("x cannot be read on after line 2")

    batches = import_rows(FixStore(db), broken())
    assert [outcome.verdict for outcome in next(batches)] == ["stored", "stored"]
    with pytest.raises(BrokenFile):
        next(batches)
    assert len(fix_times(db)) == 2


def test_a_batch_is_tried_again_while_the_database_is_away(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "RETRY_AFTER_S", 0)
    retries: list[str] = []
    away, put = [DatabaseUnavailable("away"), DatabaseUnavailable("still")], FixStore.put_many

    def put_many(store: FixStore, some: list[Fix]) -> list[Receipt | InvalidFix]:
        if away:
            raise away.pop(0)
        return put(store, some)

    with mock.patch.object(FixStore, "put_many", put_many):
        batches = import_rows(
            FixStore(db), rows("2017-01-01 13:00:00"), lambda error: retries.append(str(error))
        )
        assert [outcome.verdict for some in batches for outcome in some] == ["stored"]
    assert retries == ["away", "still"]


def test_a_database_that_stays_away_ends_the_import(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "RETRY_AFTER_S", 0)
    monkeypatch.setattr(pipeline, "PATIENCE_S", 0)
    away = DatabaseUnavailable("away")
    with mock.patch.object(FixStore, "put_many", side_effect=away) as put:
        with pytest.raises(DatabaseUnavailable):
            imported(db, rows("2017-01-01 13:00:00"))
    assert put.call_count == 1


def test_a_write_that_too_few_confirm_is_not_reported(db: Database[Document]) -> None:
    store = FixStore(db)
    unsure = {"writeErrors": [], "writeConcernErrors": [{"code": 64, "errmsg": "waiting"}]}
    with mock.patch(
        "pymongo.collection.Collection.insert_many", side_effect=BulkWriteError(unsure)
    ):
        with pytest.raises(DatabaseUnavailable):
            store.put_many([fix_of(row) for row in rows("2017-01-01 13:00:00")])
