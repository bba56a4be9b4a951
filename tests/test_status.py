"""What one look reads, how it is told, and that it changes nothing and reads little."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bson import Timestamp
from click.testing import CliRunner, Result
from pymongo import MongoClient
from pymongo.database import Database

from cli import screen
from cli.status import as_object, show_status
from locapi import attention, keys, mongo, status, watermarks
from locapi.attention import judge
from locapi.mongo import Document
from locapi.settings import Settings
from locapi.status import Disk, Status
from tests.conftest import ROOT, Commands
from tests.test_attention import REASONS, WELL
from tests.test_faults import running

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LAG = timedelta(minutes=10)
DISK = Disk(12_300_000, 3_400_000, 76_800_000_000, 270_600_000_000)
READS = {"find", "aggregate", "count", "hello", "buildinfo", "dbStats"}


def ago(**spans: float) -> Timestamp:
    return Timestamp(AT - timedelta(**spans), 1)


def raw(user_id: str, number: int, received_at: Timestamp) -> Document:
    return {
        "_id": f"{user_id}\t{number}",
        "user_id": user_id,
        "slice": keys.slice_of(user_id),
        "fix_time": AT,
        "received_at": received_at,
    }


def minute(user_id: str, number: int, **fields: Any) -> Document:
    return {"_id": f"{user_id}\t2017-01-01T18:{number:02}", "user_id": user_id, **fields}


@pytest.fixture
def filled(db: Database[Document]) -> Database[Document]:
    db.fixes.insert_many(
        [raw("a", 1, ago(hours=2)), raw("a", 2, ago(hours=1)), raw("b", 1, ago(seconds=60))]
    )
    users = [("a", 5), ("a", 6), ("a b", 5), ("ü", 5), ("ü", 6)]
    db.minutes.insert_many(minute(user_id, number) for user_id, number in users)
    db.watermarks.insert_many(
        [
            {"_id": "rollup", "received_at": ago(seconds=90), "duration_s": 0.25},
            {
                "_id": "prune",
                "received_at": ago(days=7),
                "finished_at": AT - timedelta(days=3),
                "deleted": 1234,
            },
        ]
    )
    return db


def look(database: Database[Document]) -> Status:
    return status.count_users(database, status.read(database, "mongodb://db:27017/", AT))


def expected(database: Database[Document]) -> Status:
    """Return what is to be found in `filled`, but for the server's version and disk."""
    return Status(
        at=AT,
        database=database.name,
        where="mongodb://db:27017/",
        raw_fixes=3,
        minutes=5,
        users=3,
        users_complete=True,
        newest_received_at=AT - timedelta(seconds=60),
        oldest_received_at=AT - timedelta(hours=2),
        rollup_lag_s=60.0,
        rolled_up_at=AT - timedelta(seconds=90),
        rollup_duration_s=0.25,
        minutes_missing_fixes=0,
        pruned_at=AT - timedelta(days=3),
        pruned_fixes=1234,
    )


def test_a_look_finds_all_there_is_to_tell(filled: Database[Document]) -> None:
    found = look(filled)
    assert replace(found, mongodb=None, disk=None) == expected(filled)
    assert re.fullmatch(r"\d+\.\d+\.\d+", found.mongodb or "")
    disk = found.disk
    assert disk is not None
    assert disk.data_bytes >= 0 <= disk.index_bytes
    assert disk.free_bytes is not None
    assert disk.volume_bytes is not None
    assert 0 <= disk.free_bytes < disk.volume_bytes


def test_where_roll_ups_share_the_work_the_slowest_counts(filled: Database[Document]) -> None:
    slow = keys.slice_of("a")
    slices = [ago(seconds=30)] * keys.SLICES
    slices[slow] = ago(hours=1, seconds=5)
    filled.watermarks.update_one({"_id": "rollup"}, {"$set": {"slices": slices}})
    found = look(filled)
    assert found.rolled_up_at == AT - timedelta(hours=1, seconds=5)
    assert found.rollup_lag_s == 3_600.0
    slices[slow] = watermarks.NEVER
    filled.watermarks.update_one({"_id": "rollup"}, {"$set": {"slices": slices}})
    found = look(filled)
    assert (found.rolled_up_at, found.rollup_lag_s) == (None, 7_200.0)


def test_fixes_of_before_there_were_slices_are_looked_at_too(filled: Database[Document]) -> None:
    old = raw("old", 1, ago(days=9))
    del old["slice"]
    filled.fixes.insert_one(old)
    assert look(filled).oldest_received_at == AT - timedelta(days=9)


def test_the_screen_shows_what_was_found(filled: Database[Document]) -> None:
    found = replace(look(filled), database="locapi", mongodb="8.0.4", disk=DISK)
    text = "\n".join(line.text for line in screen.lines(found, judge(found, LAG)))
    assert text == (
        "database          locapi, mongodb://db:27017/ (MongoDB 8.0.4)\n"
        "raw fixes         3\n"
        "minutes           5\n"
        "users             3\n"
        "newest fix        received 2026-01-02T03:03:05Z, 60 s ago\n"
        "oldest raw        received 2026-01-02T01:04:05Z, 2 h ago\n"
        "roll-up           lag 60 s, last began 2026-01-02T03:02:35Z, 90 s ago\n"
        "last prune        ended 2025-12-30T03:04:05Z, 3 d ago, deleted 1,234\n"
        "disk              12.3 MB data, 3.4 MB indexes; 76.8 GB of 270.6 GB free\n"
        "\n"
        "all is well"
    )


def test_the_json_tells_what_was_found(filled: Database[Document]) -> None:
    found = replace(look(filled), database="locapi", mongodb="8.0.4", disk=DISK)
    assert json.loads(as_object(found, judge(found, timedelta(seconds=59)))) == {
        "ok": False,
        "attention": [
            {
                "code": "rollup_lags",
                "message": "the roll-up lags 60 s: see that `locctl rollup --watch 60` runs, "
                "and its log",
            }
        ],
        "reachable": True,
        "at": "2026-01-02T03:04:05Z",
        "database": "locapi",
        "where": "mongodb://db:27017/",
        "mongodb": "8.0.4",
        "raw_fixes": 3,
        "minutes": 5,
        "users": 3,
        "users_complete": True,
        "newest_received_at": "2026-01-02T03:03:05Z",
        "oldest_received_at": "2026-01-02T01:04:05Z",
        "rollup_lag_s": 60.0,
        "rolled_up_at": "2026-01-02T03:02:35Z",
        "rollup_duration_s": 0.25,
        "minutes_missing_fixes": 0,
        "missing_indexes": [],
        "disk": {
            "data_bytes": 12_300_000,
            "index_bytes": 3_400_000,
            "free_bytes": 76_800_000_000,
            "volume_bytes": 270_600_000_000,
        },
        "pruned_at": "2025-12-30T03:04:05Z",
        "pruned_fixes": 1234,
    }


def test_the_manual_names_each_key_and_each_code() -> None:
    page = (ROOT / "docs" / "OPERATIONS.md").read_text()
    told = json.loads(as_object(Status(AT, "x", "y", disk=DISK), []))
    keys = {*told, *(f"disk.{name}" for name in told["disk"])} - {"disk"}
    codes = {reason.code for _, reason in REASONS}
    assert codes == {"database_away", "database_refuses", *attention._RULES}
    for first_header, names in (("key", keys), ("code", codes)):
        table = re.search(
            rf"^\| {first_header} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", page, re.MULTILINE
        )
        assert table, first_header
        rows = re.findall(r"^\| ([^|]*) \|", table[1], re.MULTILINE)
        assert {name for row in rows for name in re.findall(r"`([\w.]+)`", row)} == names


def test_the_manual_shows_a_screen() -> None:
    found = replace(
        WELL,
        where="mongodb://***@mongo:27017/?***",
        users=21,
        rollup_lag_s=31.0,
        rolled_up_at=WELL.at - timedelta(seconds=31),
        disk=DISK,
        pruned_at=WELL.at - timedelta(seconds=29),
    )
    text = "\n".join(line.text for line in screen.lines(found, judge(found, LAG)))
    assert f"```text\n{text}\n```\n" in (ROOT / "docs" / "OPERATIONS.md").read_text()


def test_an_empty_database_is_well(db: Database[Document]) -> None:
    found = look(db)
    assert (found.raw_fixes, found.minutes, found.users) == (0, 0, 0)
    assert replace(found, disk=None) == Status(
        AT,
        db.name,
        "mongodb://db:27017/",
        mongodb=found.mongodb,
        raw_fixes=0,
        minutes=0,
        users=0,
        users_complete=True,
        rollup_lag_s=0.0,
        minutes_missing_fixes=0,
    )
    shown = [line.text for line in screen.lines(replace(found, disk=DISK), [])]
    assert shown[4:8] == [
        "newest fix        none",
        "oldest raw        none",
        "roll-up           lag 0 s, none has come to its end yet",
        "last prune        none noted",
    ]


def test_a_look_makes_nothing_and_writes_nothing(
    watched: Database[Document], commands: Commands
) -> None:
    watched.client.drop_database(watched.name)
    commands.names.clear()
    assert judge(replace(look(watched), disk=None), LAG) == []
    assert set(commands.names) <= READS
    assert watched.list_collection_names() == []


def test_a_look_sends_a_command_a_user_and_no_more_for_more_fixes(
    watched: Database[Document], commands: Commands, db: Database[Document]
) -> None:
    def sent(fixes: int) -> list[str]:
        db.fixes.delete_many({})
        db.minutes.delete_many({})
        db.fixes.insert_many(raw(f"u{n % 3}", n, ago(seconds=n)) for n in range(fixes))
        db.minutes.insert_many(minute(f"u{n % 3}", n) for n in range(fixes))
        commands.names.clear()
        assert look(watched).users == 3
        return list(commands.names)

    few, many = sent(3), sent(300)
    assert few == many
    assert len(few) <= 16 + 4


def test_no_collection_is_read_through(db: Database[Document]) -> None:
    db.fixes.insert_many(raw(f"u{n % 5}", n, ago(seconds=n)) for n in range(3_000))
    db.minutes.insert_many(minute(f"u{n % 5}", n, seen=[]) for n in range(1_000))
    db.command("profile", 2)
    assert look(db).users == 5
    db.command("profile", 0)
    costs = [
        (each["op"], each.get("planSummary"), each.get("keysExamined"), each.get("docsExamined"))
        for each in db["system.profile"].find({"command.profile": {"$exists": False}})
        if "planSummary" in each
    ]
    assert len(costs) > 10
    for cost in costs:
        _, plan, keys_examined, documents = cost
        assert "COLLSCAN" not in str(plan), cost
        assert (keys_examined or 0) <= 300, cost  # two a slice
        assert (documents or 0) <= 2, cost


def test_users_are_told_apart_by_their_whole_names(db: Database[Document]) -> None:
    names = ["a", "a b", "aa", "A", "ä", "😀", "\ufffd", "a-b", "a\u00a0b"]
    db.minutes.insert_many(minute(name, n) for name in names for n in range(3))
    assert look(db).users == len(names)


def test_users_that_were_never_rolled_up_count(filled: Database[Document]) -> None:
    filled.minutes.delete_many({})
    assert (look(filled).users, look(filled).users_complete) == (2, True)


def test_where_there_is_no_time_to_count_all_users_it_says_so(
    filled: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_users_of_minutes", lambda _: (1, False))
    found = look(filled)
    assert (found.users, found.users_complete) == (2, False)
    assert ("users", "2 or more") in screen.rows(found)


def test_the_count_of_users_ends_in_time(
    filled: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "USERS_S", 1e-6)
    found = look(filled)
    assert found.users_complete is False
    assert found.users is not None
    assert found.users <= 3


def test_minutes_that_miss_fixes_are_counted_up_to_a_bound(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "LOOK_AGAIN_S", 0.0)
    db.minutes.insert_many(minute("a", n, missing=[n]) for n in range(4))
    db.minutes.insert_many(minute("b", n) for n in range(4))
    assert look(db).minutes_missing_fixes == 4
    monkeypatch.setattr(status, "MAX_MISSING", 3)
    assert look(db).minutes_missing_fixes == 3


def test_minutes_that_a_roll_up_mends_meanwhile_miss_nothing(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    db.minutes.insert_one(minute("a", 5, missing=[7]))
    mended = {"$unset": {"missing": 1}}
    # Not `sleep` for all: the driver's own threads sleep too.
    clock = SimpleNamespace(
        sleep=lambda _: db.minutes.update_many({}, mended), monotonic=time.monotonic
    )
    monkeypatch.setattr(status, "time", clock)
    assert look(db).minutes_missing_fixes == 0


def test_without_an_index_nothing_is_read_that_would_need_it(db: Database[Document]) -> None:
    db.fixes.insert_one(raw("a", 1, ago(days=1)))
    db.fixes.drop_index("slice_1_received_at_1")
    db.minutes.insert_one(minute("a", 5))
    db.minutes.drop_index("missing_1")
    found = look(db)
    assert found.missing_indexes == ("fixes: slice, received_at", "minutes: missing")
    assert (found.raw_fixes, found.users) == (None, None)
    assert [name for name, _ in screen.rows(found)] == ["database", "disk"]
    mongo.prepare(db)
    assert look(db).missing_indexes == ()


Run = Callable[..., Result]


@pytest.fixture
def run(db: Database[Document], mongodb_uri: str) -> Run:
    def run(*arguments: str, color: bool = False, **changed: str) -> Result:
        environ = {"MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name, **changed}
        return CliRunner().invoke(show_status, arguments, env=environ, color=color)

    return run


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine's disk have room."""
    monkeypatch.setattr(status, "_disk", lambda _: DISK)


@pytest.mark.usefixtures("room")
def test_the_command_exits_0_if_all_is_well_and_1_if_not(
    run: Run, filled: Database[Document]
) -> None:
    filled.fixes.delete_many({})
    well = run()
    assert (well.exit_code, well.stderr) == (0, "")
    assert well.stdout.endswith("\n\nall is well\n")
    filled.fixes.insert_one(raw("a", 1, ago(seconds=60)))
    bad = run("--max-lag", "1h")
    assert (bad.exit_code, bad.stderr) == (1, "")
    assert "\n\nneeds attention:\n- the roll-up lags " in bad.stdout
    told = json.loads(run("--json").stdout)
    assert (told["ok"], [each["code"] for each in told["attention"]]) == (False, ["rollup_lags"])


@pytest.mark.usefixtures("room", "db")
def test_colours_are_for_terminals_where_they_are_wanted(run: Run) -> None:
    assert "\x1b[32mall is well\x1b[0m\n" in run(color=True).stdout
    assert "\x1b" not in run(color=True, NO_COLOR="1").stdout
    assert "\x1b" not in run().stdout


AWAY = "mongodb://kim:secret-7@127.0.0.1:1/?serverSelectionTimeoutMS=100"


def test_a_database_that_is_away_is_told_without_its_password(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "DEADLINE_S", 0.5)
    away = run(MONGODB_URI=AWAY, LOCAPI_DATABASE="locapi")
    assert (away.exit_code, away.stdout) == (
        1,
        "database          locapi, mongodb://***@127.0.0.1:1/?***\n"
        "\n"
        "needs attention:\n"
        "- the database does not answer (127.0.0.1:1: [Errno 111] Connection refused); "
        "see that it runs and that MONGODB_URI names it\n",
    )
    told = json.loads(run("--json", MONGODB_URI=AWAY).stdout)
    assert (told["reachable"], told["raw_fixes"]) == (False, None)
    assert [each["code"] for each in told["attention"]] == ["database_away"]
    assert "secret-7" not in str(told) + away.output


def test_an_embedded_database_that_was_never_made_is_not_made(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "none"
    told = run(MONGODB_URI="", LOCAPI_DATA_DIR=str(home))
    assert told.exit_code == 1
    assert f"there is no embedded database in {home} yet; start `locctl serve`" in told.stdout
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--watch", "2", "--json"], "--json is for one look"),
        (["--api", "http://127.0.0.1:5000"], "--api needs --watch"),
        (["--watch", "0"], "Invalid value for '--watch'"),
        (["--max-lag", "10"], "'10' is no duration"),
    ],
)
def test_a_misuse_exits_2(run: Run, arguments: list[str], said: str) -> None:
    misused = run(*arguments)
    assert misused.exit_code == 2
    assert said in misused.stderr


READY_JS = (ROOT / "docker" / "ready.js").read_text()


def rights() -> list[Document]:
    """Return what docker/ready.js grants to locapi's user, but for dbStats."""
    granted = re.findall(r"^  (\w+): \[(.*)\],", READY_JS, re.MULTILINE)
    return [
        {
            "resource": {"db": "locapi", "collection": collection},
            "actions": [*re.findall(r'"(\w+)"', actions), "createCollection", "createIndex"],
        }
        for collection, actions in granted
    ]


DB_STATS: Document = {
    "resource": {"db": "locapi", "collection": ""},
    "actions": ["dbStats"],
}


@contextmanager
def guarded(home: Path, privileges: list[Document]) -> Iterator[tuple[str, MongoClient[Document]]]:
    """Run a mongod that asks for a password; yield a URI with these rights, and root's client."""
    with running(home, "--auth") as host:
        with MongoClient[Document](f"mongodb://{host}/?directConnection=true") as client:
            client.admin.command("createUser", "root", pwd="r", roles=["root"])
        with MongoClient[Document](f"mongodb://root:r@{host}/?directConnection=true") as client:
            client.locapi.command("createRole", "locapi", privileges=privileges, roles=[])
            client.locapi.command("createUser", "locapi", pwd="geheim", roles=["locapi"])
            yield f"mongodb://locapi:geheim@{host}/?directConnection=true&authSource=locapi", client


def test_the_user_of_the_containers_may_look_and_without_db_stats_all_else_is_told(
    tmp_path: Path,
) -> None:
    assert {each["resource"]["collection"] for each in rights()} >= {"fixes", "minutes"}
    assert 'collection: "" }, actions: ["listCollections", "dbStats"]' in READY_JS
    with guarded(tmp_path, [*rights(), DB_STATS]) as (uri, root):
        settings = Settings(mongodb_uri=uri)
        with mongo.open_database(settings) as database:
            mongo.prepare(database)
            database.fixes.insert_one(raw("a", 1, ago(days=1)))
        whole = status.look(settings)
        root.locapi.command("updateRole", "locapi", privileges=rights(), roles=[])
        less = status.look(settings)
    assert (whole.fault, whole.raw_fixes, whole.users) == (None, 1, 1)
    assert whole.disk is not None
    assert replace(less, at=whole.at, rollup_lag_s=whole.rollup_lag_s) == replace(whole, disk=None)
    assert ("disk", "not told: this database user may not run dbStats") in screen.rows(less)
    assert "geheim" not in repr(whole)


def test_a_user_who_may_not_even_find_is_told_so(tmp_path: Path) -> None:
    with guarded(tmp_path, []) as (uri, _):
        found = status.look(Settings(mongodb_uri=uri))
    (reason,) = judge(found, LAG)
    assert reason.code == "database_refuses"
    assert reason.message.startswith("the database does not grant the right")
