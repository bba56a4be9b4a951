"""An installation moves to another database under load, by the commands of docs/MIGRATION.md."""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pymongo import MongoClient

from locapi.settings import Settings
from locapi.storage import mongo
from locapi.storage.documents import Document
from tests.conftest import free_port
from tests.faults.load import Client
from tests.faults.tracks import Track, ahead
from tests.support.crashing import fix_id
from tests.support.pages import run_marked
from tests.support.processes import DEADLINE_S, LOCCTL, Mongod, Process, listens, until

run_the = partial(run_marked, "MIGRATION.md")


@pytest.fixture
def new_uri(memory_path: Path) -> Iterator[str]:
    """Yield the URI of a new replica set of one."""
    port = free_port()
    member = Mongod(memory_path, port, "--replSet=rs0", name="new")
    member.start()
    try:
        until(lambda: listens(port), "the new mongod")
        with MongoClient[Document]("127.0.0.1", port, directConnection=True) as client:
            config = {"_id": "rs0", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
            client.admin.command("replSetInitiate", config)
            until(lambda: bool(client.admin.command("hello")["isWritablePrimary"]), "a primary")
        yield f"mongodb://127.0.0.1:{port}/?replicaSet=rs0"
    finally:
        member.end()


def test_a_move_under_load_loses_nothing(memory_path: Path, new_uri: str) -> None:
    port = free_port()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if name != "MONGODB_URI"}
    environ = {**kept, "PATH": path, "OLD": "", "NEW": new_uri}
    environ["LOCAPI_DATA_DIR"] = str(memory_path / "data")
    serve = [str(LOCCTL), "serve", "--workers", "1", "--port", str(port)]
    roll_up = [str(LOCCTL), "rollup", "--watch", "0.2"]
    old = [
        Process("old", serve, memory_path, **environ),
        Process("up", roll_up, memory_path, **environ),
    ]
    new = Process("new", serve, memory_path, **environ, MONGODB_URI=new_uri)
    phone = Client(port, Track("a1", "1", ahead("1")), every_s=0.02)
    try:
        for process in old:
            process.start()
        phone.start()
        until(lambda: len(phone.entries) > 50, "the first answers")
        run_the("before the switch", memory_path, environ)
        for process in old:
            process.end()
        before = len(phone.entries)
        run_the("the switch", memory_path, environ)
        new.start()
        until(lambda: len(phone.entries) > before + 50, "answers after the switch")
        run_the("after the switch", memory_path, environ)
        phone.stop()
        phone.join(DEADLINE_S)
        assert all(entry.answered for entry in phone.entries)
        with mongo.open_database(Settings(mongodb_uri=new_uri)) as database:
            stored = database.fixes.distinct("_id")
        assert set(stored) == {fix_id(entry.ask.sent.key) for entry in phone.entries}
    finally:
        phone.abandon()
        for process in (*old, new):
            process.end()
    attempts = [entry.attempts for entry in phone.entries]
    assert max(each[-1].ended - each[0].began for each in attempts) < DEADLINE_S
