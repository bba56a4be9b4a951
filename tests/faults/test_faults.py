"""A share of `make faults`, in a minute or so; and a database that comes last."""

from pathlib import Path

from pymongo import MongoClient

from locapi.mongo import Document
from tests.conftest import a_fix, free_port
from tests.faults.load import Load
from tests.faults.processes import Api, Mongod, RollUp, listens, until
from tests.faults.referee import judge
from tests.faults.replica_set import ReplicaSet
from tests.faults.report import effects, unexcused
from tests.faults.single_node import SingleNode
from tests.test_end_to_end import ask
from tests.test_server import fix

RECOVERY_S = 5.0  # from when a new primary takes writes


def test_what_was_answered_outlives_kills_and_counts_once(tmp_path: Path) -> None:
    node = SingleNode(tmp_path, seed=1)
    with node.running():
        with Load(node.api.port, seed=1) as load:
            faults = list(node.befall(load, rounds=2))
        entries = list(load.entries())
        assert [*unexcused(load, faults), *judge(node.uri, entries)] == []
    assert len(entries) > 100
    assert len(faults) == 10


def test_what_was_answered_outlives_failovers_and_the_api_comes_back_by_itself(
    tmp_path: Path,
) -> None:
    replica_set = ReplicaSet(tmp_path, seed=1)
    share = ("primary killed", "primary stepped down")
    replica_set.faults = {kind: replica_set.faults[kind] for kind in share}
    with replica_set.running():
        with Load(replica_set.api.port, seed=1) as load:
            faults = list(replica_set.befall(load, rounds=1))
        entries = list(load.entries())
        assert [*unexcused(load, faults), *judge(replica_set.uri, entries)] == []
    assert max(effect.beside_database_s for effect in effects(load, faults)) <= RECOVERY_S


def test_the_database_may_come_last(tmp_path: Path) -> None:
    """It comes seconds late, longer than any single wait: what holds after two holds after many.

    A request waits 8 s at most and the roll-up's look for a server ends, here, after 1 s,
    so both have given up and begun anew by then; nothing else counts how often.
    """
    mongod = Mongod(tmp_path, free_port())
    uri = f"mongodb://127.0.0.1:{mongod.port}/?serverSelectionTimeoutMS=1000"
    api, rollup = Api(tmp_path, free_port(), uri), RollUp(tmp_path, uri)
    url = f"http://127.0.0.1:{api.port}"
    try:
        rollup.start()
        api.start()
        until(lambda: listens(api.port), "the API's start")
        code, answer = ask(url, "PUT", "/location", fix())
        assert (code, answer["error"]["code"]) == (500, "database_unavailable")
        until(lambda: "trying again" in rollup.log.read_text(), "the roll-up's wait")
        mongod.start()
        until(lambda: ask(url, "PUT", "/location", fix())[0] == 200, "the first answer", 5)
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


def test_the_referee_finds_what_is_lost_and_what_is_counted_wrongly(tmp_path: Path) -> None:
    node = SingleNode(tmp_path, seed=1)
    with node.running():
        with Load(node.api.port, seed=1) as load:
            until(lambda: load.all_served_since(0.0), "answers")
        node.rollup.end()
        entries = list(load.entries())
        assert judge(node.uri, entries) == []
        with MongoClient[Document](node.uri) as client:
            database = client.locapi
            gone = database.fixes.find_one_and_delete({})
            assert gone
            found = judge(node.uri, entries)
            assert f"{gone['_id']} is lost" in found
            database.fixes.insert_one(gone)
            database.minutes.update_one({}, {"$inc": {"lat_sum": 1.0}})
            # By verify, which exits 1 and names the minute, and by the reference.
            assert len(judge(node.uri, entries)) == 3
