"""Orchestrators learn from /livez whether to restart a process, from /readyz whether to use it."""

from pathlib import Path

import pymongo
import pytest
from pymongo import MongoClient
from pymongo.errors import ServerSelectionTimeoutError

from locapi.api import probes
from locapi.api.app import create_app
from locapi.settings import Settings
from locapi.storage import mongo
from locapi.storage.documents import Document
from tests.support import mongod
from tests.support.processes import until


def test_readiness_check_fails_while_a_running_database_takes_no_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "READY_DEADLINE_S", 0.3)
    with (
        mongod.running(tmp_path) as host,
        MongoClient[Document](f"mongodb://{host}/") as client,
        mongo.open_database(Settings(mongodb_uri=f"mongodb://{host}/")) as database,
    ):
        api = create_app(database=database).test_client()
        assert api.get("/readyz").status_code == 200
        client.admin.command("fsync", lock=True)
        until(lambda: api.get("/readyz").status_code == 503)
        assert database.command("ping")["ok"]
        assert api.get("/livez").status_code == 200
        client.admin.command("fsyncUnlock")
        until(lambda: api.get("/readyz").status_code == 200)


def test_liveness_check_needs_no_database() -> None:
    settings = Settings(mongodb_uri="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100")
    with mongo.open_database(settings) as database:
        with pytest.raises(ServerSelectionTimeoutError), pymongo.timeout(1):
            database.command("ping")
        api = create_app(settings, database).test_client()
        assert api.get("/livez").get_json() == {"status": "ok"}
        assert api.get("/readyz").status_code == 503
