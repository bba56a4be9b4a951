"""How many commands each operation sends to the database."""

import asyncio
from typing import Any

from bson import Timestamp
from pymongo.database import Database

from locapi.api.app import create_app
from locapi.api.bridge import Bridge
from locapi.monitoring import backlog
from locapi.rollup import windows
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.leases import RollupLease
from locapi.storage.documents import FIXES, Document
from tests.conftest import Commands, a_fix
from tests.support.bridge import ask, run
from tests.support.fixes import fix, raw


def test_put_is_one_command(watched: Database[Document], commands: Commands) -> None:
    api = create_app(database=watched).test_client()
    assert api.put("/location", json=a_fix()).status_code == 200
    commands.names.clear()
    assert api.put("/location", json=a_fix(user_id="a2")).status_code == 200
    assert commands.names == ["insert"]


def test_concurrent_puts_share_commands(watched: Database[Document], commands: Commands) -> None:
    serve = Bridge(create_app(database=watched))

    async def load(count: int) -> list[Any]:
        await ask(serve, fix(user_id="first"))
        commands.names.clear()
        return await asyncio.gather(*(ask(serve, fix(user_id=f"u{n}")) for n in range(count)))

    answers = run(load(500))
    assert {answer.status for answer in answers} == {200}
    assert watched[FIXES].count_documents({}) == 501
    assert commands.names.count("insert") <= 25


def test_roll_up_sends_as_many_commands_for_many_fixes_as_for_few(
    watched: Database[Document], commands: Commands
) -> None:
    def rolled_up(fixes: int) -> list[str]:
        watched.fixes.insert_many(raw(1_000 * number, f"{fixes}") for number in range(fixes))
        commands.names.clear()
        fold_new_fixes(watched)
        return list(commands.names)

    few, many = rolled_up(5), rolled_up(1_000)
    assert few == many
    assert len(many) <= 12


def test_watched_roll_up_without_new_fixes_is_twelve_commands(
    watched: Database[Document], commands: Commands
) -> None:
    watcher = RollupLease(watched)
    for _ in range(2):
        commands.names.clear()
        fold_new_fixes(watched, watcher.slices(), watcher.renew)
    assert commands.names == [
        "findAndModify",  # the lease
        "hello",
        "findAndModify",  # the watermark
        "aggregate",  # the number of new fixes
        "findAndModify",  # the mark of the fold's changes
        "find",  # minutes in quarantine
        "aggregate",  # the fold
        "update",  # the mark is closed
        "find",  # minutes that are missing fixes
        "hello",
        "update",
        "find",  # old tombstones
    ]


def test_scrape_is_six_commands_and_scans_no_collection(
    watched: Database[Document], commands: Commands
) -> None:
    api = create_app(database=watched).test_client()
    assert api.put("/location", json=a_fix()).status_code == 200
    commands.names.clear()
    backlog.read(watched)
    assert commands.names == ["find", "find", "hello", "count", "count", "count"]
    for marks in ([Timestamp(7, 0)] * 128, [Timestamp(7 + each // 40, 0) for each in range(128)]):
        new = {"find": FIXES, "filter": windows.since(windows.starts(windows.ALL_SLICES, marks))}
        command = {**new, "sort": {"received_at": 1}, "limit": 1}
        plan = str(watched.command("explain", command, verbosity="queryPlanner"))
        assert "'SORT_MERGE'" in plan  # so the oldest of each slice is all that is read
        assert "COLLSCAN" not in plan
