"""Run a share of `make faults`, and start the database after the API and the roll-up."""

import os
import socket
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from pymongo import MongoClient

from locapi.api.app import create_app
from locapi.settings import Settings
from locapi.storage import mongo
from locapi.storage.documents import Document
from tests.conftest import a_fix, free_port
from tests.faults.links import owner
from tests.faults.load import Attempt, Entry, Load, as_json
from tests.faults.processes import Api, RollUp
from tests.faults.referee import judge
from tests.faults.replica_set import ReplicaSet
from tests.faults.report import effects, unexcused
from tests.faults.single_node import SingleNode
from tests.faults.tracks import CLOCK, Track, autumns
from tests.faults.warehouse import Warehouse
from tests.support import depth
from tests.support.fixes import fix
from tests.support.mongod import running
from tests.support.processes import Mongod, ask, listens, until

RECOVERY_S = 5.0  # from when a new primary takes writes


def test_connections_from_one_port_to_two_are_told_apart() -> None:
    with ExitStack() as opened:
        owners = []
        port = free_port()
        for _ in range(2):
            server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
            caller = opened.enter_context(socket.socket())
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            caller.bind(("127.0.0.1", port))
            caller.connect(server.getsockname())
            inode = os.fstat(caller.fileno()).st_ino
            owners.append((owner(port, server.getsockname()[1]), str(inode)))
    assert [found for found, _ in owners] == [expected for _, expected in owners]


def test_answered_fixes_survive_kills_and_count_once(memory_path: Path) -> None:
    seed = depth.seed("kills")
    node = SingleNode(memory_path, seed)
    with node.running():
        with Warehouse(node.uri) as warehouse, Load(node.api.port, seed) as load:
            faults = list(node.befall(load, rounds=1))
        entries = list(load.entries())
        assert [*unexcused(load, faults), *judge(node.uri, entries)] == []
        assert warehouse.differences() == []
    assert warehouse.reads > 1
    assert len(entries) > 100
    assert len(faults) == 5


def test_answered_fixes_survive_failovers_and_the_api_recovers(
    memory_path: Path,
) -> None:
    seed = depth.seed("failovers")
    replica_set = ReplicaSet(memory_path, seed, away_s=0)  # none of these faults lasts
    share = ("primary killed", "primary stepped down")
    replica_set.faults = {kind: replica_set.faults[kind] for kind in share}
    with replica_set.running():
        with Warehouse(replica_set.uri) as warehouse, Load(replica_set.api.port, seed) as load:
            faults = list(replica_set.befall(load, rounds=1))
        entries = list(load.entries())
        assert [*unexcused(load, faults), *judge(replica_set.uri, entries)] == []
        assert warehouse.differences() == []
    assert warehouse.reads > 1
    assert max(effect.beside_database_s for effect in effects(load, faults)) <= RECOVERY_S


def test_api_and_roll_up_wait_for_a_database_that_starts_last(memory_path: Path) -> None:
    """It comes seconds late, longer than any single wait: what holds after two holds after many.

    Here a request and the roll-up wait 1 s for a database, so by then each has failed at least
    once and tried again. More failures would test nothing else.
    """
    mongod = Mongod(memory_path, free_port())
    uri = f"mongodb://127.0.0.1:{mongod.port}/?serverSelectionTimeoutMS=1000"
    api, rollup = Api(memory_path, free_port(), uri, deadline_s=1), RollUp(memory_path, uri)
    url = f"http://127.0.0.1:{api.port}"
    try:
        rollup.start()
        api.start()
        until(lambda: listens(api.port), "the API's start")
        code, answer = ask(url, "PUT", "/location", fix())
        assert (code, answer["error"]["code"]) == (500, "database_unavailable")
        until(lambda: "trying again" in rollup.log.read_text(), "the roll-up's wait")
        mongod.start()
        until(lambda: ask(url, "PUT", "/location", fix())[0] == 200, "the first answer")
        with MongoClient[Document](uri) as client:
            minutes = client.locapi.minutes
            until(lambda: minutes.find_one() is not None, "a minute")
            found = minutes.find_one()
        assert found
        assert (found["user_id"], found["count"]) == (a_fix()["user_id"], 1)
        assert api.pid
        assert rollup.pid
    finally:
        for process in (api, rollup, mongod):
            process.end()


def test_referee_finds_lost_and_miscounted_fixes(memory_path: Path) -> None:
    with running(memory_path) as host:
        uri = f"mongodb://{host}/?directConnection=true"
        with mongo.open_database(Settings(mongodb_uri=uri)) as database:
            api = create_app(now=lambda: CLOCK, database=database).test_client()
            entries = []
            for ask_for in islice(Track("u1", "1", autumns("1")), 20):
                answer = api.put("/location", data=as_json(ask_for.sent))
                entries.append(Entry(ask_for, [Attempt(0, 1, answer.status_code, answer.json)]))
            assert judge(uri, entries) == []
            gone = database.fixes.find_one_and_delete({})
            assert gone
            assert f"{gone['_id']} is lost" in judge(uri, entries)
            database.fixes.insert_one(gone)
            # Both, because a roll-up that meets the minute again computes its average anew.
            database.minutes.update_one({}, {"$inc": {"lat_sum": 1.0}, "$set": {"lat": 0.0}})
            # By verify, which exits 1 and names the minute, and by the reference.
            assert len(judge(uri, entries)) == 3
