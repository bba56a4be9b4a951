"""Each alarm fires in a real Prometheus when what it stands for happens."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from locapi.rollup.fold import fold_new_fixes
from locapi.storage.documents import FIXES, Document
from ops.alarms import ALARMS
from ops.dashboard import PANELS
from tests.conftest import free_port
from tests.support.crashing import received_earlier
from tests.support.fixes import fix
from tests.support.phone_apps import message
from tests.support.processes import Mongod, ask, listens, until
from tests.support.prometheus import Prometheus, watching
from tests.support.serving import Serving, serve

PAUSE_S = 1.5


class Stage:
    """A database, an API, and the Prometheus that watches it."""

    def __init__(
        self,
        mongod: Mongod,
        database: Database[Document],
        serving: Serving,
        prometheus: Prometheus,
    ) -> None:
        self.mongod, self.database = mongod, database
        self.serving, self.prometheus = serving, prometheus
        self._sent = 0

    def put(self, **fields: object) -> int:
        """Send another fix, of the next second; return the code of the answer."""
        minute, second = divmod(self._sent, 60)
        self._sent += 1
        body = fix(timestamp=f"2017-01-01 13:{minute:02}:{second:02}", **fields)
        return ask(self.serving.url, "PUT", "/location", body)[0]

    def put_while_paused(self) -> int:
        """Send a fix while the database pauses for a while."""
        os.kill(self.mongod.pid, signal.SIGSTOP)
        threading.Timer(PAUSE_S, os.kill, (self.mongod.pid, signal.SIGCONT)).start()
        return self.put()

    def until_fires(self, name: str, repeat: Callable[[], object] = lambda: None) -> None:
        """Repeat something until the alarm fires."""

        def fires() -> bool:
            repeat()
            return name in self.prometheus.firing()

        until(fires)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    mongod = Mongod(tmp_path, free_port())
    mongod.start()
    try:
        until(lambda: listens(mongod.port))
        uri = f"mongodb://127.0.0.1:{mongod.port}/"
        with (
            serve(uri, tmp_path) as serving,
            MongoClient[Document](uri) as client,
            watching(tmp_path, f"127.0.0.1:{serving.port}") as prometheus,
        ):
            until(lambda: bool(prometheus.query("locapi_database_up == 1")))
            yield Stage(mongod, client[serving.database], serving, prometheus)
    finally:
        mongod.discard()


def refuse_fixes(stage: Stage) -> None:
    assert stage.put() == 200
    stage.database.command("collMod", FIXES, validator={"impossible": {"$exists": True}})


def api_ends(stage: Stage) -> None:
    stage.serving.process.terminate()
    stage.until_fires("LocapiDown")


def database_ends(stage: Stage) -> None:
    stage.mongod.kill()
    stage.until_fires("LocapiDatabaseDown")
    assert ask(stage.serving.url, "GET", "/livez")[0] == 200


def phones_get_500(stage: Stage) -> None:
    refuse_fixes(stage)
    stage.until_fires("LocapiServerErrors", stage.put)


def nothing_is_rolled_up_for_an_hour(stage: Stage) -> None:
    assert stage.put() == 200
    received_earlier(stage.database, FIXES)
    stage.until_fires("LocapiRollupLags")


def database_refuses_a_fix(stage: Stage) -> None:
    refuse_fixes(stage)
    assert stage.put() == 500
    stage.until_fires("LocapiInternalErrors")


def database_is_slow(stage: Stage) -> None:
    stage.until_fires("LocapiSlow", stage.put_while_paused)


def app_sends_nonsense(stage: Stage) -> None:
    stage.until_fires("LocapiInvalidFixes", lambda: stage.put(lat=91))


def phone_app_sends_nonsense(stage: Stage) -> None:
    body = json.dumps(message(lat=91)).encode()

    def send() -> None:
        assert ask(stage.serving.url, "POST", "/owntracks", body) == (200, [])

    stage.until_fires("LocapiRejects", send)


def minute_cannot_be_folded(stage: Stage) -> None:
    assert stage.put() == 200
    stage.database[FIXES].update_one({}, {"$set": {"long": "west"}})
    fold_new_fixes(stage.database)
    stage.until_fires("LocapiQuarantine")


SCENES: dict[str, Callable[[Stage], None]] = {
    "LocapiDown": api_ends,
    "LocapiDatabaseDown": database_ends,
    "LocapiServerErrors": phones_get_500,
    "LocapiRollupLags": nothing_is_rolled_up_for_an_hour,
    "LocapiInternalErrors": database_refuses_a_fix,
    "LocapiSlow": database_is_slow,
    "LocapiInvalidFixes": app_sends_nonsense,
    "LocapiRejects": phone_app_sends_nonsense,
    "LocapiQuarantine": minute_cannot_be_folded,
}


@pytest.mark.parametrize("alarm", [alarm.name for alarm in ALARMS])
def test_alarm_fires_only_after_its_cause(stage: Stage, alarm: str) -> None:
    assert stage.prometheus.firing() == set()
    SCENES[alarm](stage)


def test_each_graph_has_data_and_no_alarm_fires_while_all_is_well(stage: Stage) -> None:
    queries = [
        query.expression.replace("$__rate_interval", "10s")
        for panel in PANELS
        for query in panel.queries
    ]
    fold_new_fixes(stage.database)

    def all_have_data() -> bool:
        assert stage.put() == 200
        return all(stage.prometheus.query(query) for query in queries)

    until(all_have_data)
    assert stage.prometheus.firing() == set()
