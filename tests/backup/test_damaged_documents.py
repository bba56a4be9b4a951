"""A dump's documents are checked before any is stored, and derived fields are recomputed."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from bson import Timestamp
from pymongo.database import Database

from locapi.backup import checks, file_format
from locapi.backup.differences import find_differences
from locapi.backup.dump import dump
from locapi.backup.file_format import Header
from locapi.backup.restore import restore
from locapi.errors import Conflict, UnreadableFile
from locapi.exporters.query import read
from locapi.ingest import tokens
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.prune import prune
from locapi.rollup.verify import Report, verify
from locapi.storage.documents import Document
from tests.conftest import Send
from tests.support.depth import share

COLLECTIONS = ("fixes", "minutes", "tokens", "watermarks", "quarantine")


pytestmark = pytest.mark.usefixtures("no_wait")


@pytest.fixture
def dumped(db: Database[Document], send: Send) -> dict[str, list[Document]]:
    """The documents of a dump: in each collection one."""
    send("2017-01-01 13:05:01")
    prune(db, timedelta(0))
    send("2017-01-01 13:05:02")
    fold_new_fixes(db, max_fixes=1)
    tokens.add(db, "a1")
    file = io.BytesIO()
    dump(db, file)
    file.seek(0)
    found: dict[str, list[Document]] = {name: [] for name in COLLECTIONS}
    for name, document in file_format.read(file):
        found[name].append(document)
    assert all(len(documents) == 1 for documents in found.values())
    return found


def packed(documents: dict[str, list[Document]]) -> io.BytesIO:
    file = io.BytesIO()
    header = Header(Timestamp(1, 0), None)
    file_format.write(
        file, header, ((name, map(bson.encode, each)) for name, each in documents.items())
    )
    return file


def is_empty(database: Database[Document]) -> bool:
    return not any(database[name].find_one() for name in COLLECTIONS)


WRONG: list[Any] = [
    ...,
    None,
    "x",
    "$",
    5,
    -1,
    2**62,
    float("nan"),
    [],
    ["x"],
    {"$gt": 1},
    b"x",
    True,
]
WRONG += [datetime(1, 1, 1), Timestamp(1, 1), "\x1b[2J", "a\tb"]
WRONG += ["9999-12-31 23:59:59", "a1\t9999-12-31T23:59", "0001-01-01 00:00:00"]


def with_wrong_fields(document: Document) -> Iterator[Document]:
    """Yield the document with each field missing or wrong."""
    for field in document:
        others = {key: each for key, each in document.items() if key != field}
        for value in WRONG:
            yield others if value is ... else {**others, field: value}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_any_field_that_is_wrong_is_refused_or_does_no_harm(
    dumped: dict[str, list[Document]], target: Database[Document], name: str
) -> None:
    (document,) = dumped[name]
    accepted, refused = [], 0
    for changed in with_wrong_fields(document):
        try:
            accepted.append(checks.checked(name, changed))
        except UnreadableFile:
            refused += 1
    assert refused > 5 * len(document)
    for changed in accepted[share(name, 8)]:
        restore(target, packed({**dumped, name: [changed]}))
        use(target)
        for each in (*COLLECTIONS, "erasures", "changes"):
            target[each].delete_many({})


def test_nothing_is_stored_of_a_dump_with_one_wrong_field(
    dumped: dict[str, list[Document]], target: Database[Document]
) -> None:
    for name in COLLECTIONS:
        wrong = {**dumped[name][0], "_id": None}
        with pytest.raises(UnreadableFile, match=f"of {name} has a wrong or missing _id"):
            restore(target, packed({**dumped, name: [wrong]}))
    assert is_empty(target)


def use(database: Database[Document]) -> None:
    """Run what reads the documents; none of it may fail."""
    fold_new_fixes(database)
    assert len(list(tokens.find(database))) == 1
    list(read(database, local_time=True).pages)
    list(verify(database, Report(), repair=True))
    prune(database, timedelta(hours=1))


def test_what_follows_from_other_fields_is_computed_again(
    dumped: dict[str, list[Document]], target: Database[Document]
) -> None:
    (fix,), (minute,) = dumped["fixes"], dumped["minutes"]
    wrong_fix = {**fix, "_id": "x", "slice": 7, "minute_id": "bad", "seen_code": 3}
    wrong_minute = {**minute, "user_id": "z", "minute": datetime(1980, 1, 1), "lat": 7.0}
    file = packed({**dumped, "fixes": [wrong_fix], "minutes": [wrong_minute], "quarantine": []})
    restore(target, file)
    hidden = {"received_at": 0, "changed_at": 0}
    for name, right in (("fixes", fix), ("minutes", minute)):
        found = target[name].find_one({}, hidden)
        assert found is not None
        utc = {key: each for key, each in right.items() if key not in hidden}
        assert {key: naive(each) for key, each in found.items()} == utc
    fold_new_fixes(target)
    assert [minute["count"] for minute in target.minutes.find()] == [2]
    assert list(verify(target, Report())) == []


def naive(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def test_an_instant_keeps_the_offset_in_its_key(
    dumped: dict[str, list[Document]], target: Database[Document]
) -> None:
    (fix,) = dumped["fixes"]
    key = f"{fix['_id']}-05:00"
    restore(target, packed({"fixes": [{**fix, "_id": key}]}))
    assert [each["_id"] for each in target.fixes.find()] == [key]


def test_a_horizon_in_the_future_is_refused(
    dumped: dict[str, list[Document]], target: Database[Document]
) -> None:
    later = Timestamp(datetime.now(UTC) + timedelta(minutes=5), 0)
    horizon = [{**dumped["watermarks"][0], "received_at": later}]
    with pytest.raises(Conflict, match="later than the database's clock"):
        restore(target, packed({**dumped, "watermarks": horizon}))
    assert is_empty(target)


@pytest.mark.parametrize("user_id", ["$", "$name", "$$ROOT", "{$x}"])
def test_a_user_whose_name_looks_like_an_expression_is_restored(
    db: Database[Document], target: Database[Document], send: Send, user_id: str
) -> None:
    send(user_id=user_id)
    token = tokens.add(db, user_id)
    fold_new_fixes(db)
    file = io.BytesIO()
    dump(db, file)
    restore(target, file)
    assert [each.user_id for each in tokens.find(target)] == [user_id]
    assert list(target.tokens.find()) == list(db.tokens.find({"_id": token.split("_")[1]}))
    assert list(find_differences(target, file)) == []


CHANGES: dict[str, tuple[str, Document]] = {
    "a fix": ("fixes", {"tz": "Europe/Paris"}),
    "a minute's average": ("minutes", {"speed": 7.0}),
    "a minute's extreme": ("minutes", {"long_max": 7.0}),
    "a token's user": ("tokens", {"user_id": "b"}),
    "a token's end": ("tokens", {"expires_at": datetime(2030, 1, 1)}),
    "a minute in quarantine": ("quarantine", {"reason": "x"}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_check_compares_whole_documents(
    dumped: dict[str, list[Document]], target: Database[Document], what: str
) -> None:
    file = packed(dumped)
    restore(target, file)
    assert list(find_differences(target, file)) == []
    name, values = CHANGES[what]
    target[name].update_one({}, {"$set": values})
    (line,) = find_differences(target, file)
    assert line.endswith(f"\tdifferent in {name}")


def with_fix(fix: bytes) -> io.BytesIO:
    file = io.BytesIO()
    file_format.write(file, Header(Timestamp(1, 0), None), [("fixes", [fix])])
    return file


def nested(depth: int) -> bytes:
    document = bson.encode({})
    for _ in range(depth):
        content = b"\x03_id\0" + document + b"\0"
        document = (len(content) + 4).to_bytes(4, "little") + content
    return document


FILES = {
    "an unknown collection": packed({"users": [{"_id": 1}]}),
    "a document over 16 MB": with_fix(bson.encode({"_id": 1, "x": "x" * (16 << 20)})),
    "a broken document": with_fix(b"\x12\0\0\0\x02_id\0\xff\xff\xff\xff\0\0\0\0\0"),
    "deep nesting": with_fix(nested(5_000)),
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_no_dump_inside_is_refused_in_one_sentence(
    target: Database[Document], what: str
) -> None:
    with pytest.raises(UnreadableFile) as caught:
        restore(target, FILES[what])
    assert "\n" not in str(caught.value)
    assert is_empty(target)
