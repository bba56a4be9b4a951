"""What is stored moves to another database and stays exact."""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import bson
import hypothesis
import pytest
from bson import Timestamp
from click.testing import CliRunner
from hypothesis import strategies as st
from pymongo.database import Database

from cli.dump import dump as command
from locapi import dump_file, tokens, watermarks
from locapi.dump import dump
from locapi.dump_file import Header
from locapi.erase import erase
from locapi.errors import Conflict, UnreadableFile
from locapi.fixes import FixStore
from locapi.mongo import Document
from locapi.prune import prune
from locapi.restore import missing, restore
from locapi.rollup import roll_up
from locapi.schema import parse
from locapi.verify import Report, verify
from tests.conftest import Send, a_fix, fresh_database
from tests.depth import examples


@pytest.fixture(autouse=True)
def no_api_has_to_hear_of_a_horizon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locapi.prune.HORIZON_TRUST_S", 0.0)


@pytest.fixture
def target(mongodb_uri: str) -> Iterator[Database[Document]]:
    with fresh_database(mongodb_uri) as database:
        yield database


def dumped(db: Database[Document], after: Header | None = None, **more: Any) -> io.BytesIO:
    file = io.BytesIO()
    dump(db, file, after, **more)
    return file


def header(file: io.BytesIO) -> Header:
    file.seek(0)
    return dump_file.read_header(file)


def stored(db: Database[Document], *names: str) -> dict[str, list[Document]]:
    """Return what is stored, but for when it was received."""
    shown = {"received_at": 0}
    return {name: list(db[name].find({}, shown, sort=[("_id", 1)])) for name in names}


ALL = ("fixes", "minutes", "tokens")


def test_all_that_is_stored_comes_back_as_it_was(
    db: Database[Document], target: Database[Document], send: Send
) -> None:
    send("2017-01-01 13:05:01")
    prune(db, timedelta(0))
    send("2017-01-01 13:05:02")
    roll_up(db)
    send("2017-01-01 13:06:00", user_id="b2")
    tokens.add(db, "a1")
    file = dumped(db)
    assert restore(target, file) == {"minutes": 1, "tokens": 1, "watermarks": 1, "fixes": 2}
    assert stored(target, *ALL) == stored(db, *ALL)
    assert watermarks.read(target, "prune") == watermarks.read(db, "prune")
    assert list(missing(target, file)) == []


def test_the_same_documents_give_the_same_bytes(db: Database[Document], send: Send) -> None:
    send()

    def content() -> bytes:
        packed = gzip.decompress(dumped(db).getvalue())
        return packed[int.from_bytes(packed[:4], "little") :]  # after the time in the header

    assert content() == content()


def test_what_is_rolled_up_and_pruned_meanwhile_is_not_lost(
    db: Database[Document], target: Database[Document], send: Send
) -> None:
    for second in range(10):
        send(f"2017-01-01 13:05:0{second}")

    def meanwhile(_: int) -> None:
        roll_up(db)
        prune(db, timedelta(0))

    file = dumped(db, progress=meanwhile)
    restore(target, file)
    roll_up(target)
    assert [minute["count"] for minute in target.minutes.find()] == [10]
    assert list(verify(target, Report())) == []


def test_a_repeat_of_what_was_pruned_is_a_duplicate_there_too(
    db: Database[Document], target: Database[Document], send: Send
) -> None:
    send()
    prune(db, timedelta(0))
    restore(target, dumped(db))
    assert FixStore(target).put(parse(a_fix_as_bytes(lat=1.0))).status == "duplicate"


def a_fix_as_bytes(**fields: Any) -> bytes:
    return json.dumps(a_fix(**fields)).encode()


SECONDS = st.integers(0, 59)
STEPS = st.lists(st.one_of(SECONDS, st.sampled_from(["roll up", "prune"])), max_size=8)


def play(db: Database[Document], steps: list[int | str]) -> None:
    store = FixStore(db)
    for step in steps:
        if step == "roll up":
            roll_up(db)
        elif step == "prune":
            prune(db, timedelta(0))
        else:
            time = f"2017-01-01 13:{int(step) % 3:02}:{int(step):02}"
            store.put(parse(a_fix_as_bytes(timestamp=time, lat=float(step))))


@hypothesis.settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(before=STEPS, between=STEPS)
def test_a_dump_and_what_came_after_it_make_the_same_minutes(
    mongodb_uri: str, before: list[int | str], between: list[int | str]
) -> None:
    between = [step for step in between if step != "prune"]
    with fresh_database(mongodb_uri) as source, fresh_database(mongodb_uri) as target:
        play(source, before)
        first = dumped(source)
        restore(target, first)
        play(source, between)
        begun = header(first).begun
        # A second later: the prune of just now bears the next whole one.
        second = dumped(source, Header(Timestamp(begun.time + 1, 0), None))
        roll_up(target)
        restore(target, second)
        restore(target, first)
        for each in (source, target):
            roll_up(each)
        assert stored(target, "fixes") == stored(source, "fixes")
        numbers = ("_id", "count", "lat", "long", "accuracy", "speed")
        ours, theirs = (
            [[minute[name] for name in numbers] for minute in each.minutes.find(sort=[("_id", 1)])]
            for each in (source, target)
        )
        assert ours == [pytest.approx(row) for row in theirs]
        assert list(missing(target, first)) == list(missing(target, second)) == []


def test_a_file_that_was_cut_off_is_told_wherever_the_cut_is(
    db: Database[Document], target: Database[Document], send: Send
) -> None:
    send()
    whole = dumped(db).getvalue()
    for end in range(len(whole)):
        with pytest.raises(UnreadableFile):
            list(dump_file.read(io.BytesIO(whole[:end])))
    with pytest.raises(UnreadableFile):
        restore(target, io.BytesIO(whole[:-20]))
    restore(target, io.BytesIO(whole))
    assert stored(target, *ALL) == stored(db, *ALL)


def test_a_file_without_an_end_is_told_also_where_it_is_whole_gzip() -> None:
    whole = bson.encode({"locapi_dump": "begin", "version": 1, "begun": 0, "after": 0})
    with pytest.raises(UnreadableFile, match="cut off"):
        list(dump_file.read(io.BytesIO(gzip.compress(whole))))


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"not gzipped", gzip.compress(b"\x05\0\0\0\0", mtime=0)]
)
def test_another_file_is_no_dump(content: bytes) -> None:
    with pytest.raises(UnreadableFile):
        dump_file.read_header(io.BytesIO(content))


def test_another_fix_of_the_same_key_stays_and_is_told(
    db: Database[Document], target: Database[Document], send: Send
) -> None:
    send(lat=1.0)
    FixStore(target).put(parse(a_fix_as_bytes(lat=2.0)))
    with pytest.raises(Conflict, match="another fix"):
        restore(target, dumped(db))
    assert [fix["lat"] for fix in target.fixes.find()] == [2.0]


def test_a_minute_of_other_fixes_stays_and_is_told(
    db: Database[Document], target: Database[Document], send: Send
) -> None:
    send("2017-01-01 13:05:01")
    roll_up(db)
    FixStore(target).put(parse(a_fix_as_bytes(timestamp="2017-01-01 13:05:02")))
    roll_up(target)
    before = stored(target, *ALL)
    with pytest.raises(Conflict, match="a minute of other fixes"):
        restore(target, dumped(db))
    assert stored(target, *ALL) == before


def test_what_lacks_is_told_document_by_document(
    db: Database[Document], target: Database[Document], send: Send
) -> None:
    send("2017-01-01 13:05:01")
    send("2017-01-01 13:06:01")
    roll_up(db)
    file = dumped(db)
    restore(target, file)
    target.fixes.update_one({"_id": "a1\t2017-01-01 13:05:01.000"}, {"$set": {"lat": 7.0}})
    target.minutes.delete_one({"_id": "a1\t2017-01-01T18:06"})
    target.fixes.delete_one({"_id": "a1\t2017-01-01 13:06:01.000"})
    assert list(missing(target, file)) == [
        "a1\t2017-01-01 13:06:01.000\tmissing in fixes",
        "a1\t2017-01-01 13:05:01.000\tanother one in fixes",
        "a1\t2017-01-01T18:06\tmissing in minutes",
    ]


def test_a_token_revoked_on_either_side_stays_revoked(
    db: Database[Document], target: Database[Document]
) -> None:
    ids = [tokens.add(db, user).split("_")[1] for user in ("a1", "b2", "c3")]
    first = dumped(db)
    restore(target, first)
    tokens.revoke(db, ids[0])
    tokens.revoke(target, ids[1])
    restore(target, dumped(db, header(first)))
    revoked = {token["_id"]: token["revoked_at"] is not None for token in target.tokens.find()}
    assert revoked == dict(zip(ids, (True, True, False), strict=True))


def test_an_erasure_since_makes_a_dump_worthless(db: Database[Document], send: Send) -> None:
    send()
    first = header(dumped(db))
    erase(db, "a1")
    with pytest.raises(Conflict, match="erased"):
        dumped(db, first)


@pytest.mark.parametrize("when", ["not finished", "meanwhile"])
def test_a_dump_beside_an_erasure_is_refused(db: Database[Document], send: Send, when: str) -> None:
    send()
    meanwhile: Callable[[int], object] = lambda _: erase(db, "a1")  # noqa: E731
    if when == "not finished":
        db.erasures.insert_one({"_id": "a1", "received_at": Timestamp(1, 0)})
        meanwhile = lambda _: None  # noqa: E731
    with pytest.raises(Conflict, match="erased"):
        dumped(db, progress=meanwhile)


def test_a_prune_of_what_came_since_makes_a_whole_dump_necessary(
    db: Database[Document], send: Send
) -> None:
    first = header(dumped(db))
    send()
    prune(db, timedelta(0))
    with pytest.raises(Conflict, match="whole dump"):
        dumped(db, first)


def test_a_later_dump_is_small(db: Database[Document], send: Send) -> None:
    send()
    for fix in db.fixes.find():
        db.fixes.update_one({"_id": fix["_id"]}, {"$set": {"received_at": Timestamp(9, 9)}})
    first = dumped(db)
    send("2017-01-01 13:06:00")
    second = dumped(db, header(first))
    second.seek(0)
    assert [document["_id"] for name, document in dump_file.read(second) if name == "fixes"] == [
        "a1\t2017-01-01 13:06:00.000"
    ]


def test_where_nothing_was_ever_stored_there_is_nothing_to_dump(
    mongodb_uri: str, tmp_path: Path
) -> None:
    environ = {"MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": "never_used"}
    done = CliRunner().invoke(command, [str(tmp_path / "all.dump")], env=environ)
    assert (done.exit_code, done.output) == (0, "0 raw fixes, 0 minutes, 0 tokens\n")


def test_a_dump_is_its_owners_only(
    db: Database[Document], mongodb_uri: str, tmp_path: Path
) -> None:
    environ = {"MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name}
    done = CliRunner().invoke(command, [str(tmp_path / "all.dump")], env=environ)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "all.dump").stat().st_mode & 0o777 == 0o600
