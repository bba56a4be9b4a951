"""Operations on one user go to the user's shards only."""

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

from locapi.api.app import create_app
from locapi.exporters.query import read_pages
from locapi.fixes import ids
from locapi.fixes.validation import Fix, parse
from locapi.ingest.store import FixStore, Receipt
from locapi.monitoring import backlog, status
from locapi.rollup import aggregation, prune, watermarks
from locapi.rollup.erase import erase
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.verify import Report, verify
from locapi.settings import Settings
from locapi.storage import changes, mongo
from locapi.storage.documents import FIXES, MINUTES, Document
from locapi.storage.migrate import reconcile
from tests.conftest import ROOT, a_fix
from tests.support.mongos import Mongos
from tests.support.targeting import KNOWN, Chunks, broadcasts, queries, ranges

ROUTED = (FIXES, MINUTES)
SPLITS = Chunks(["a1", "a2", "b"])
A1 = SPLITS.touched([("a1\t", "a1\n")])

pytestmark = pytest.mark.usefixtures("no_wait")


class Sharded(NamedTuple):
    """A sharded database, and an API and a store on it that have begun to serve."""

    db: Database[Document]
    api: FlaskClient
    store: FixStore

    def put(self, timestamp: str, **fields: Any) -> None:
        answer = self.api.put("/location", json=a_fix(timestamp=timestamp, **fields))
        assert answer.status_code == 200, answer.json


def a_parsed(timestamp: str) -> Fix:
    return parse(json.dumps(a_fix(timestamp=timestamp)).encode())


@pytest.fixture
def sharded(mongos: Mongos) -> Iterator[Sharded]:
    """A database with fixes of three users, folded, and one that its minute still misses."""
    with mongo.open_database(Settings(mongodb_uri=mongos.uri, database="routed")) as database:
        assert all(difference.repaired for difference in reconcile(database))
        api = create_app(database=database).test_client()
        it = Sharded(database, api, FixStore(database))
        for user_id in ("a0", "a1", "a2"):
            for second in (1, 2):
                it.put(f"2017-01-01 13:05:0{second}", user_id=user_id)
        fold_new_fixes(database)
        assert it.store.put(a_parsed("2017-01-01 13:05:03")).status == "stored"
        with changes.marked(database) as mark:
            database[FIXES].aggregate(aggregation.fold({"_id": ids.of_user("a1")}, mark))
        assert database[MINUTES].count_documents({"missing": {"$exists": True}}) == 1
        yield it
        database.client.drop_database(database.name)
        database.client["config"]["collections"].delete_many({})


def put_old(it: Sharded) -> None:
    watermarks.advance(it.db, watermarks.PRUNED, Timestamp(datetime.now(UTC), 0))
    it.put("2017-01-01 13:05:08")


def import_all(it: Sharded) -> None:
    """Put what is new, what was there, what is older than what was pruned and what is ambiguous."""
    watermarks.advance(it.db, watermarks.PRUNED, Timestamp(datetime.now(UTC), 0))
    walls = ("2017-01-01 13:05:01", "2017-01-01 13:05:08", "2017-11-05 01:30:00")
    sent = [a_parsed(wall) for wall in walls]
    statuses = [each.status for each in it.store.put_many(sent) if isinstance(each, Receipt)]
    assert statuses == ["duplicate", "stored", "stored"]


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
    "a roll-up": (lambda it: fold_new_fixes(it.db), {RECEIVED, MISSING}),
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
def test_operations_on_one_user_query_only_the_shards_of_that_user(
    mongos: Mongos, sharded: Sharded, name: str
) -> None:
    commands = sent(mongos, sharded, OF_ONE[name])
    assert not set().union(*map(broadcasts, commands))
    asked = [SPLITS.touched(ranges(each) or []) for one in commands for each in queries(one)]
    assert set().union(*asked) == A1


@pytest.mark.parametrize("name", OF_ALL)
def test_operations_that_query_all_shards_are_listed_with_the_reason(
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
def test_queries_by_key_use_an_index(
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
found_keys = st.builds(ids.fix_id, user_ids, times) | user_ids


@given(user_ids, times, st.lists(found_keys))
def test_copies_of_a_fix_meet_in_one_chunk_however_they_are_split(
    user_id: str, time: datetime, splits: list[str]
) -> None:
    second = time.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
    spellings = [second, f"{second}.0", f"{second}.000", f"{second}.000999"]
    copies = {
        ids.fix_id(fix.user_id, fix.wall)
        for fix in (
            parse(json.dumps(a_fix(timestamp=each, user_id=user_id)).encode()) for each in spellings
        )
    }
    assert len(copies) == 1
    assert len({Chunks(splits).of(copy) for copy in copies}) == 1


@given(user_ids, user_ids, times, st.lists(found_keys))
def test_keys_of_a_user_form_a_range_of_their_own(
    user_id: str, other: str, time: datetime, splits: list[str]
) -> None:
    chunks, bounds = Chunks(splits), ids.of_user(user_id)
    asked = chunks.touched(ranges({"_id": bounds}) or [])
    for key in (ids.fix_id(user_id, time), ids.minute_id(user_id, time)):
        assert bounds["$gte"] <= key < bounds["$lt"]
        assert chunks.of(key) in asked
    if other != user_id:
        assert not bounds["$gte"] <= ids.fix_id(other, time) < bounds["$lt"]
