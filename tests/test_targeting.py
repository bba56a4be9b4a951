"""What is asked of one user goes to the shards that hold the user, and to no other."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from bson import Timestamp
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from pymongo.database import Database

from locapi import backlog, fixes, keys, mongo, prune, rollup, status, watermarks
from locapi.app import create_app
from locapi.batches import BatchStore
from locapi.erase import erase
from locapi.export import read_pages
from locapi.init import bring_about
from locapi.mongo import FIXES, MINUTES, Document
from locapi.rollup import roll_up
from locapi.schema import Fix, parse
from locapi.settings import Settings
from locapi.verify import Report, verify
from tests.conftest import ROOT, a_fix
from tests.mongos import Mongos
from tests.targeting import KNOWN, Chunks, broadcasts, queries, ranges

ROUTED = (FIXES, MINUTES)
SPLITS = Chunks(["a1", "a2", "b"])
A1 = SPLITS.touched([("a1\t", "a1\n")])


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fixes, prune):
        monkeypatch.setattr(module, "HORIZON_TRUST_S", 0.0)


class Sharded(NamedTuple):
    """A sharded database, and an API and an importer on it that have begun to serve."""

    db: Database[Document]
    api: FlaskClient
    importer: BatchStore

    def put(self, timestamp: str, **fields: Any) -> None:
        answer = self.api.put("/location", json=a_fix(timestamp=timestamp, **fields))
        assert answer.status_code == 200, answer.json


def a_parsed(timestamp: str) -> Fix:
    return parse(json.dumps(a_fix(timestamp=timestamp)).encode())


@pytest.fixture
def sharded(mongos: Mongos) -> Iterator[Sharded]:
    """A database with fixes of three users, folded, and one that its minute still misses."""
    with mongo.open_database(Settings(mongodb_uri=mongos.uri, database="routed")) as database:
        assert all(difference.mended for difference in bring_about(database))
        api = create_app(database=database).test_client()
        it = Sharded(database, api, BatchStore(database))
        for user_id in ("a0", "a1", "a2"):
            for second in (1, 2):
                it.put(f"2017-01-01 13:05:0{second}", user_id=user_id)
        roll_up(database)
        assert it.importer.put_many([a_parsed("2017-01-01 13:05:03")]) == ["stored"]
        rollup._fold(database, {"_id": keys.of_user("a1")})
        assert database[MINUTES].count_documents({"missing": {"$exists": True}}) == 1
        yield it
        database.client.drop_database(database.name)
        database.client["config"]["collections"].delete_many({})


def put_old(it: Sharded) -> None:
    watermarks.write(it.db, watermarks.PRUNED, Timestamp(datetime.now(UTC), 0))
    it.put("2017-01-01 13:05:08")


def import_all(it: Sharded) -> None:
    """Put what is new, what was there, what is older than what was pruned and what is ambiguous."""
    watermarks.write(it.db, watermarks.PRUNED, Timestamp(datetime.now(UTC), 0))
    walls = ("2017-01-01 13:05:01", "2017-01-01 13:05:08", "2017-11-05 01:30:00")
    sent = [a_parsed(wall) for wall in walls]
    assert it.importer.put_many(sent) == ["duplicate", "stored", "stored"]


Operation = Callable[[Sharded], object]
MORNING, EVENING = datetime(2017, 1, 1, tzinfo=UTC), datetime(2017, 1, 2, tzinfo=UTC)
OF_ONE: dict[str, Operation] = {
    "a fix": lambda it: it.put("2017-01-01 13:05:09"),
    "a repeat": lambda it: it.put("2017-01-01 13:05:01"),
    "a fix in a repeated hour": lambda it: it.put("2017-11-05 01:30:00"),
    "a fix older than what was pruned": put_old,
    "an import": import_all,
    "an export": lambda it: list(read_pages(it.db, "a1")),
    "an export of a window": lambda it: list(read_pages(it.db, "a1", MORNING, EVENING)),
}
ALL_FIXES, ALL_MINUTES = (FIXES, ()), (MINUTES, ())
RECEIVED, MISSING = (FIXES, ("received_at", "slice")), (MINUTES, ("missing",))
OF_ALL: dict[str, tuple[Operation, set[tuple[str, tuple[str, ...]]]]] = {
    "an erasure": (lambda it: erase(it.db, "a1"), {ALL_FIXES, MISSING}),
    "an export": (lambda it: list(read_pages(it.db)), {ALL_MINUTES}),
    "an export of a window": (
        lambda it: list(read_pages(it.db, since=MORNING)),
        {(MINUTES, ("minute",))},
    ),
    "a roll-up": (lambda it: roll_up(it.db), {RECEIVED, MISSING}),
    "a prune": (lambda it: prune.prune(it.db, timedelta(0)), {ALL_FIXES, RECEIVED, MISSING}),
    "a verification": (lambda it: list(verify(it.db, Report())), {ALL_FIXES, ALL_MINUTES}),
    "a status": (
        lambda it: status.count_users(it.db, status.read(it.db, "here")),
        {ALL_FIXES, ALL_MINUTES, RECEIVED, MISSING},
    ),
    "a scrape": (lambda it: backlog.read(it.db), {ALL_FIXES, ALL_MINUTES, RECEIVED}),
}


def sent(mongos: Mongos, it: Sharded, operation: Operation) -> list[Document]:
    """Return the commands to sharded collections that an operation sends."""
    before = len(mongos.commands)
    operation(it)
    commands = [one for one in mongos.commands[before:] if one[next(iter(one))] in ROUTED]
    assert commands
    return commands


@pytest.mark.parametrize("name", OF_ONE)
def test_what_concerns_one_user_asks_only_the_shards_that_hold_the_user(
    mongos: Mongos, sharded: Sharded, name: str
) -> None:
    commands = sent(mongos, sharded, OF_ONE[name])
    assert not set().union(*map(broadcasts, commands))
    asked = [SPLITS.touched(ranges(each) or []) for one in commands for each in queries(one)]
    assert set().union(*asked) == A1


@pytest.mark.parametrize("name", OF_ALL)
def test_what_asks_all_shards_is_known_and_has_its_reason(
    mongos: Mongos, sharded: Sharded, name: str
) -> None:
    operation, wanted = OF_ALL[name]
    commands = [one for one in sent(mongos, sharded, operation) if not_made(one)]
    assert set().union(*map(broadcasts, commands)) == wanted
    assert wanted <= set(KNOWN)


def not_made(command: Document) -> bool:
    return next(iter(command)) not in ("create", "createIndexes")


@pytest.mark.parametrize(
    "operation", [OF_ONE["a fix in a repeated hour"], OF_ONE["an export"], OF_ALL["an erasure"][0]]
)
def test_what_names_keys_finds_them_by_an_index(
    mongos: Mongos, sharded: Sharded, operation: Operation
) -> None:
    for command in sent(mongos, sharded, operation):
        if not broadcasts(command) and next(iter(command)) in ("find", "delete"):
            plan = str(sharded.db.command("explain", explained(command), verbosity="queryPlanner"))
            assert "COLLSCAN" not in plan, command
            by_time = "fix_time" in command.get("filter", {})
            assert not by_time or "'indexName': 'user_id_1_fix_time_1'" in plan


def explained(command: Document) -> Document:
    without = ("lsid", "$clusterTime", "$db", "txnNumber", "writeConcern", "readConcern", "ordered")
    return {name: value for name, value in command.items() if name not in without}


def test_the_page_names_each_command_that_asks_all_shards_and_why() -> None:
    page = (ROOT / "docs" / "SCALING.md").read_text()
    for (collection, fields), reason in KNOWN.items():
        by = ", ".join(f"`{field}`" for field in fields) or "nothing"
        assert f"| `{collection}` | {by} | {reason} |" in page


user_ids = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
times = st.datetimes(datetime(1970, 1, 1), datetime(2099, 1, 1))
found_keys = st.builds(keys.fix_id, user_ids, times) | user_ids


@given(user_ids, times, st.lists(found_keys))
def test_copies_of_a_fix_meet_in_one_chunk_however_they_are_split(
    user_id: str, time: datetime, splits: list[str]
) -> None:
    second = time.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
    spellings = [second, f"{second}.0", f"{second}.000", f"{second}.000999"]
    copies = {
        keys.fix_id(fix.user_id, fix.wall)
        for fix in (
            parse(json.dumps(a_fix(timestamp=each, user_id=user_id)).encode()) for each in spellings
        )
    }
    assert len(copies) == 1
    assert len({Chunks(splits).of(copy) for copy in copies}) == 1


@given(user_ids, user_ids, times, st.lists(found_keys))
def test_a_users_keys_are_one_range_in_which_no_other_user_has_any(
    user_id: str, other: str, time: datetime, splits: list[str]
) -> None:
    chunks, bounds = Chunks(splits), keys.of_user(user_id)
    asked = chunks.touched(ranges({"_id": bounds}) or [])
    for key in (keys.fix_id(user_id, time), keys.minute_id(user_id, time)):
        assert bounds["$gte"] <= key < bounds["$lt"]
        assert chunks.of(key) in asked
    if other != user_id:
        assert not bounds["$gte"] <= keys.fix_id(other, time) < bounds["$lt"]
