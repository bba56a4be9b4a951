"""What is stored moves to another database by a dump and stays exact."""

import gzip
import io
import json
import zlib
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import bson
import hypothesis
import pytest
from bson import Timestamp
from flask.testing import FlaskClient
from hypothesis import strategies as st
from pymongo.database import Database

from locapi.api.app import create_app
from locapi.backup import file_format
from locapi.backup.differences import find_differences
from locapi.backup.dump import dump
from locapi.backup.file_format import Header
from locapi.backup.restore import restore
from locapi.errors import Conflict, UnreadableFile
from locapi.fixes.validation import parse
from locapi.ingest import tokens
from locapi.ingest.store import FixStore
from locapi.rollup import watermarks
from locapi.rollup.erase import erase
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.prune import prune
from locapi.rollup.verify import Report, verify
from locapi.storage.documents import Document
from tests.conftest import Locctl, Send, a_fix, fresh_database
from tests.support.depth import examples

ALL = ("fixes", "minutes", "tokens")

pytestmark = pytest.mark.usefixtures("no_wait")


def dumped(db: Database[Document], base: Header | None = None, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    dump(db, file, base, **options)
    file.seek(0)
    return file


def header(file: io.BytesIO) -> Header:
    file.seek(0)
    return file_format.read_header(file)


def put(db: Database[Document], **fields: Any) -> str:
    return FixStore(db).put(parse(json.dumps(a_fix(**fields)).encode())).status


def stored(db: Database[Document], *names: str) -> dict[str, list[Document]]:
    """Return what is stored, without when it was received or changed."""
    hidden = {"received_at": 0, "changed_at": 0}
    return {name: list(db[name].find({}, hidden, sort=[("_id", 1)])) for name in names}


def test_everything_comes_back_as_it_was(
    db: Database[Document], target: Database[Document], send: Send
) -> None:
    send("2017-01-01 13:05:01")
    prune(db, timedelta(0))
    send("2017-01-01 13:05:02")
    fold_new_fixes(db)
    send("2017-01-01 13:06:00", user_id="b2")
    tokens.add(db, "a1", reads="own")
    tokens.add(db, "", reads="all")
    file = dumped(db)
    for _ in range(2):
        assert restore(target, file) == {"minutes": 1, "tokens": 2, "watermarks": 1, "fixes": 2}
    assert stored(target, *ALL) == stored(db, *ALL)
    assert watermarks.read(target, "prune") == watermarks.read(db, "prune")
    assert list(find_differences(target, file)) == []
    assert put(target, timestamp="2017-01-01 13:05:01", lat=1.0) == "duplicate"


def test_unknown_values_come_back_and_averages_stay_exact(
    db: Database[Document], target: Database[Document], api: FlaskClient
) -> None:
    def post(to: FlaskClient, seconds: str, **known: float) -> None:
        fix = a_fix(timestamp=f"2017-01-01 13:05:{seconds}", accuracy=None, speed=-1)
        assert to.post("/locations", json=fix | known).get_json()["stored"] == 1

    post(api, "01")
    post(api, "02", accuracy=3.0)
    fold_new_fixes(db)
    prune(db, timedelta(0))
    post(api, "03", speed=0.0)
    restore(target, dumped(db))
    assert stored(target, *ALL) == stored(db, *ALL)
    post(create_app(database=target).test_client(), "04", accuracy=6.0, speed=4.0)
    fold_new_fixes(target)
    found = target.minutes.find_one()
    assert found
    assert (found["count"], found["accuracy"], found["speed"]) == (4, 4.5, 2.0)


def test_equal_documents_give_equal_bytes(db: Database[Document], send: Send) -> None:
    send()

    def content() -> bytes:
        unpacked = gzip.decompress(dumped(db).getvalue())
        return unpacked[int.from_bytes(unpacked[:4], "little") :]  # after the header's time

    assert content() == content()


def test_dump_holds_what_is_rolled_up_and_pruned_meanwhile(
    db: Database[Document], target: Database[Document], send: Send
) -> None:
    for second in range(10):
        send(f"2017-01-01 13:05:0{second}")

    def meanwhile(_: int) -> None:
        fold_new_fixes(db)
        prune(db, timedelta(0))

    restore(target, dumped(db, progress=meanwhile))
    fold_new_fixes(target)
    assert [minute["count"] for minute in target.minutes.find()] == [10]
    assert list(verify(target, Report())) == []


SECONDS = st.integers(0, 59)
STEPS = st.lists(st.one_of(SECONDS, st.sampled_from(["roll up", "prune"])), max_size=8)


def play(db: Database[Document], steps: list[int | str]) -> None:
    for step in steps:
        if step == "roll up":
            fold_new_fixes(db)
        elif step == "prune":
            prune(db, timedelta(0))
        else:
            time = f"2017-01-01 13:{int(step) % 3:02}:{int(step):02}"
            put(db, timestamp=time, lat=float(step))


@hypothesis.settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(before=STEPS, between=STEPS)
def test_full_and_later_dump_together_give_the_same_minutes(
    mongodb_uri: str, before: list[int | str], between: list[int | str]
) -> None:
    between = [step for step in between if step != "prune"]
    with fresh_database(mongodb_uri) as source, fresh_database(mongodb_uri) as target:
        play(source, before)
        first = dumped(source)
        restore(target, first)
        play(source, between)
        started_at = header(first).started_at
        # One second later, as the horizon of a prune just now is the next whole second.
        second = dumped(source, Header(Timestamp(started_at.time + 1, 0), None))
        fold_new_fixes(target)
        restore(target, second)
        restore(target, first)
        for each in (source, target):
            fold_new_fixes(each)
        assert stored(target, "fixes") == stored(source, "fixes")
        columns = ("_id", "count", "lat", "long", "accuracy", "speed")
        ours, theirs = (
            [[minute[name] for name in columns] for minute in each.minutes.find(sort=[("_id", 1)])]
            for each in (source, target)
        )
        assert ours == [pytest.approx(row) for row in theirs]
        for file in (first, second):
            assert list(find_differences(target, file)) == []


def test_later_dump_has_only_new_fixes(db: Database[Document], send: Send) -> None:
    send()
    db.fixes.update_many({}, {"$set": {"received_at": Timestamp(9, 9)}})
    first = dumped(db)
    send("2017-01-01 13:06:00")
    second = dumped(db, header(first))
    assert [fix["_id"] for name, fix in file_format.read(second) if name == "fixes"] == [
        "a1\t2017-01-01 13:06:00.000"
    ]


# Damaged files


def test_truncated_or_damaged_file_is_refused_before_anything_is_stored(
    db: Database[Document], target: Database[Document], send: Send
) -> None:
    send()
    fold_new_fixes(db)
    complete = dumped(db).getvalue()
    files = [complete[:end] for end in range(len(complete))]
    for at in range(len(complete)):
        if at not in range(4, 10):  # gzip's time, flags and system, which nobody reads
            byte = bytes([complete[at] ^ 0xFF])
            files.append(complete[:at] + byte + complete[at + 1 :])
    whole = unpacked(complete)
    for content in files:
        if unpacked(content) == whole:
            continue  # rarely, a wrong byte repeats the same bytes from another place
        with pytest.raises(UnreadableFile):
            restore(target, io.BytesIO(content))
        with pytest.raises(UnreadableFile):
            list(find_differences(target, io.BytesIO(content)))
    assert stored(target, *ALL) == {name: [] for name in ALL}


def unpacked(file: bytes) -> bytes | None:
    """Return the content of a gzip file, or None if it is damaged."""
    with suppress(gzip.BadGzipFile, EOFError, zlib.error):
        return gzip.decompress(file)
    return None


def packed(*documents: Document, end: bytes = b"") -> bytes:
    return gzip.compress(b"".join(map(bson.encode, documents)) + end, mtime=0)


HEADER = {"locapi_dump": "header", "version": 1, "started_at": 0, "base_started_at": 0}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not a locapi dump"),
        (b"not gzipped", "not a dump, or damaged"),
        (gzip.compress(b"an ordinary gzipped file", mtime=0), "not a dump, or damaged"),
        (packed({"_id": 1}), "not a locapi dump"),
        (packed({**HEADER, "version": 2}), "not a locapi dump of format 1"),
        (packed({"locapi_dump": "header", "version": 1}), "damaged"),
        (packed(HEADER), "truncated"),
        (packed(HEADER, {"_id": 1}), "damaged"),
        (packed(HEADER, {"locapi_dump": "collection"}), "damaged"),
        (packed(HEADER, end=b"\x05\0\0\0\0"), "damaged"),
        (packed(HEADER, end=b"\xff\xff\xff\x7f"), "damaged"),
        (packed(HEADER, end=b"\x16\0\0\0\x02locapi_dump\0\xff\xff\0\0\0"), "damaged"),
    ],
)
def test_other_files_are_refused_in_one_sentence(content: bytes, fault: str) -> None:
    with pytest.raises(UnreadableFile, match=fault):
        list(file_format.read(io.BytesIO(content)))


# Conflicts and differences


@pytest.mark.parametrize(
    ("second", "conflict"),
    [
        (1, "different fix of user a1 at 2017-01-01 13:05:01"),
        (2, "different minute of user a1 at 2017-01-01T18:05"),
    ],
)
def test_conflicting_document_stops_the_restore_and_stays(
    db: Database[Document], target: Database[Document], send: Send, second: int, conflict: str
) -> None:
    send("2017-01-01 13:05:01", lat=1.0)
    put(target, timestamp=f"2017-01-01 13:05:0{second}", lat=2.0)
    for each in (db, target):
        fold_new_fixes(each)
    before = stored(target, *ALL)
    with pytest.raises(Conflict, match=conflict):
        restore(target, dumped(db))
    assert stored(target, *ALL) == before


def test_token_revoked_on_either_side_stays_revoked(
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


@pytest.mark.parametrize("when", ["unfinished", "meanwhile", "since the first dump"])
def test_dump_is_refused_if_a_user_was_erased(
    db: Database[Document], send: Send, when: str
) -> None:
    send()
    first = None
    if when == "unfinished":
        db.erasures.insert_one({"_id": "a1", "received_at": Timestamp(1, 0)})
    elif when == "since the first dump":
        first = header(dumped(db))
        erase(db, "a1")
    with pytest.raises(Conflict, match="erased"):
        dumped(db, first, progress=lambda _: when == "meanwhile" and erase(db, "a1"))


def test_later_dump_is_refused_if_new_fixes_were_pruned(db: Database[Document], send: Send) -> None:
    first = header(dumped(db))
    send()
    prune(db, timedelta(0))
    with pytest.raises(Conflict, match="full dump"):
        dumped(db, first)


# The commands


def test_commands_dump_restore_and_check(
    db: Database[Document], target: Database[Document], send: Send, locctl: Locctl, tmp_path: Path
) -> None:
    send("2017-01-01 13:05:01")
    send("2017-01-01 13:06:01")
    fold_new_fixes(db)
    file = tmp_path / "all.dump"
    done = locctl("dump", file)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "Dumped 2 raw fixes, 2 minutes, 0 tokens.\n"
    assert file.stat().st_mode & 0o777 == 0o600
    done = locctl("restore", file, LOCAPI_DATABASE=target.name)
    assert done.stderr == f"Restored 2 raw fixes, 2 minutes, 0 tokens from {file}.\n"
    target.fixes.update_one({"_id": "a1\t2017-01-01 13:05:01.000"}, {"$set": {"lat": 7.0}})
    target.minutes.delete_one({"_id": "a1\t2017-01-01T18:06"})
    target.fixes.delete_one({"_id": "a1\t2017-01-01 13:06:01.000"})
    checked = locctl("restore", "--check", file, LOCAPI_DATABASE=target.name)
    assert checked.returncode == 1
    assert checked.stderr == "3 documents missing or different.\n"
    assert checked.stdout.splitlines() == [
        "a1\t2017-01-01 13:06:01.000\tmissing in fixes",
        "a1\t2017-01-01 13:05:01.000\tdifferent in fixes",
        "a1\t2017-01-01T18:06\tmissing in minutes",
    ]


def test_commands_name_a_file_that_is_no_dump(locctl: Locctl, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("notes")
    for words in (["restore", file], ["restore", "--check", file], ["dump", "--after", file, "x"]):
        done = locctl(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"Error: {file}: not a dump, or damaged or truncated. "
            "Copy the file again or make a new dump.\n"
        )


def test_database_without_anything_stored_can_be_dumped(locctl: Locctl, tmp_path: Path) -> None:
    done = locctl("dump", tmp_path / "all.dump", LOCAPI_DATABASE="never_used")
    assert (done.returncode, done.stderr) == (0, "Dumped 0 raw fixes, 0 minutes, 0 tokens.\n")
