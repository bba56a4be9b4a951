"""An installation moves to another database under load, by the commands of docs/MIGRATION.md."""

import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import urllib3
from pymongo import MongoClient
from pymongo.database import Database

from locapi.settings import Settings
from locapi.storage import mongo
from locapi.storage.documents import Document
from tests.conftest import a_fix, free_port
from tests.support.pages import run_marked
from tests.support.processes import DEADLINE_S, LOCCTL, Mongod, Process, listens, until

run_the = partial(run_marked, "MIGRATION.md")


class Phone:
    """Sends fix after fix, each until it is answered 200, and notes the longest wait."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answered: list[str] = []
        self.longest_s = 0.0

    def __enter__(self) -> "Phone":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        url = f"http://127.0.0.1:{self._port}/location"
        with urllib3.PoolManager(timeout=10, retries=False) as client:
            for number in itertools.count():
                minute, ms = divmod(number, 100)
                time = f"2017-01-{1 + minute // 60:02} 13:{minute % 60:02}:00.{ms:03}"
                if self._stop.wait(0.01) or not self._send_until_taken(client, url, time):
                    return
                self.answered.append(time)

    def _send_until_taken(self, client: urllib3.PoolManager, url: str, timestamp: str) -> bool:
        start = time.monotonic()
        while not self._stop.is_set():
            try:
                answer = client.request("PUT", url, json=a_fix(timestamp=timestamp))
            except urllib3.exceptions.HTTPError:
                time.sleep(0.05)
            else:
                if answer.status == 200:
                    self.longest_s = max(self.longest_s, time.monotonic() - start)
                    return True
        return False


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
    try:
        for process in old:
            process.start()
        with Phone(port) as phone:
            until(lambda: len(phone.answered) > 50, "the first answers")
            run_the("before the switch", memory_path, environ)
            for process in old:
                process.end()
            before = len(phone.answered)
            run_the("the switch", memory_path, environ)
            new.start()
            until(lambda: len(phone.answered) > before + 50, "answers after the switch")
            run_the("after the switch", memory_path, environ)
        with mongo.open_database(Settings(mongodb_uri=new_uri)) as database:
            assert stored(database) == sorted(phone.answered)
    finally:
        for process in (*old, new):
            process.end()
    assert phone.longest_s < DEADLINE_S


def stored(database: Database[Document]) -> list[str]:
    return sorted(fix["local_time"] for fix in database.fixes.find())
