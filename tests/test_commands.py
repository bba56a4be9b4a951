"""What an operation costs the database, in commands."""

import asyncio
from typing import Any

from bson import Timestamp
from pymongo.database import Database

from locapi import backlog, mongo, windows
from locapi.app import create_app
from locapi.mongo import FIXES, Document
from locapi.rollup import pipeline, roll_up
from locapi.server import Server
from locapi.shares import Watcher
from tests.conftest import Commands, a_fix
from tests.test_server import ask, fix, run


def test_a_lone_put_is_one_command(watched: Database[Document], commands: Commands) -> None:
    api = create_app(database=watched).test_client()
    assert api.put("/location", json=a_fix()).status_code == 200
    commands.names.clear()
    assert api.put("/location", json=a_fix(user_id="a2")).status_code == 200
    assert commands.names == ["insert"]


def test_puts_in_flight_share_commands(watched: Database[Document], commands: Commands) -> None:
    serve = Server(create_app(database=watched))

    async def load(count: int) -> list[Any]:
        await ask(serve, fix(user_id="first"))
        commands.names.clear()
        return await asyncio.gather(*(ask(serve, fix(user_id=f"u{n}")) for n in range(count)))

    answers = run(load(500))
    assert {answer[0] for answer in answers} == {200}
    assert watched[FIXES].count_documents({}) == 501
    assert commands.names.count("insert") <= 25


def test_a_roll_up_sends_as_many_commands_for_many_fixes_as_for_few(
    watched: Database[Document], commands: Commands
) -> None:
    api = create_app(database=watched).test_client()

    def rolled_up(fixes: int) -> list[str]:
        for number in range(fixes):
            minute, second = divmod(number, 60)
            timestamp = f"2017-01-01 13:{minute % 60:02}:{second:02}"
            user_id = f"{fixes}-{number // 3600}"
            answer = api.put("/location", json=a_fix(timestamp=timestamp, user_id=user_id))
            assert answer.status_code == 200
        commands.names.clear()
        roll_up(watched)
        return list(commands.names)

    few, many = rolled_up(5), rolled_up(1_000)
    assert few == many
    assert len(many) <= 7


def test_a_round_of_a_watcher_in_which_nothing_is_new_is_eight_commands(
    watched: Database[Document], commands: Commands
) -> None:
    watcher = Watcher(watched)
    for _ in range(2):
        commands.names.clear()
        roll_up(watched, watcher.share(), watcher.keep)
    assert commands.names == [
        "findAndModify",  # the lease
        "hello",
        "findAndModify",  # the watermark
        "find",
        "aggregate",
        "find",
        "hello",
        "update",
    ]


def test_the_roll_up_finds_new_fixes_by_an_index(db: Database[Document]) -> None:
    now = Timestamp(mongo.settled_time(db), 0)
    new = windows.received(now)
    command = {"aggregate": FIXES, "pipeline": pipeline(new), "cursor": {}}
    plan = str(db.command("explain", command, verbosity="queryPlanner"))
    assert "IXSCAN" in plan
    assert "COLLSCAN" not in plan


def test_a_scrape_is_five_commands_and_reads_no_collection_through(
    watched: Database[Document], commands: Commands
) -> None:
    api = create_app(database=watched).test_client()
    assert api.put("/location", json=a_fix()).status_code == 200
    commands.names.clear()
    backlog.read(watched)
    assert commands.names == ["find", "find", "hello", "count", "count"]
    for marks in ([Timestamp(7, 0)] * 128, [Timestamp(7 + each // 40, 0) for each in range(128)]):
        new = {"find": FIXES, "filter": windows.since(windows.starts(windows.ALL, marks))}
        command = {**new, "sort": {"received_at": 1}, "limit": 1}
        plan = str(watched.command("explain", command, verbosity="queryPlanner"))
        assert "'SORT_MERGE'" in plan  # so the oldest of each slice is all that is read
        assert "COLLSCAN" not in plan
