"""OwnTracks and Overland send to the processes of `locctl serve`, through failures."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from locapi.storage import migrate
from locapi.storage.documents import FIXES, REJECTS, Document
from tests.conftest import free_port
from tests.support.phone_apps import Overland, OwnTracks, Post, feature, message, post_to
from tests.support.processes import Mongod, listens, until
from tests.support.serving import serve

PATIENT_S, IMPATIENT_S = 30, 1
LONGEST: dict[str, Any] = {
    "timestamp": "2017-01-01T18:05:12-0500",
    "altitude": -1000,
    "course": 360,
    "horizontal_accuracy": 100_000,
    "vertical_accuracy": 100_000,
    "speed_accuracy": 123.45000000000001,
    "course_accuracy": 179.98999999999998,
    "motion": ["walking", "running", "cycling", "driving", "stationary"],
    "activity": "automotive_navigation",
    "locations_in_payload": 1_000,
    "trip_id": "2017-01-01T18:05:12Z",
    "battery_level": 0.8500000238418579,
    "wifi": "w" * 32,
    "unique_id": "00000000-0000-0000-0000-000000000000",
}


class Served(NamedTuple):
    """A server, and the mongod behind it that can be stopped."""

    url: str
    mongod: Mongod
    database: Database[Document]

    def refuse(self, refuse: bool) -> None:
        """Let the database refuse fixes and rejects, or take them again."""
        validator = {"impossible": {"$exists": True}} if refuse else {}
        for name in (FIXES, REJECTS):
            self.database.command("collMod", name, validator=validator)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    mongod = Mongod(tmp_path, free_port())
    mongod.start()
    try:
        until(lambda: listens(mongod.port))
        uri = f"mongodb://127.0.0.1:{mongod.port}/"
        with serve(uri, tmp_path) as serving, MongoClient[Document](uri) as client:
            migrate.prepare(client[serving.database])
            yield Served(serving.url, mongod, client[serving.database])
    finally:
        mongod.discard()


def owntracks(post: Post) -> OwnTracks:
    app = OwnTracks(post)
    for second in range(5):
        app.publish(message(tst=1483293912 + second, lat=91 if second == 3 else 40.7))
    app.publish({"_type": "lwt", "tst": 1})
    return app


def overland(post: Post) -> Overland:
    app = Overland(post, batch=3)
    app.features = [feature(second) for second in range(4)]
    app.features.insert(2, feature(30, horizontal_accuracy=-1))
    return app


@pytest.mark.parametrize("start", [owntracks, overland])
def test_app_loses_and_doubles_nothing_after_500_and_after_a_timeout(
    served: Served, start: Callable[[Post], OwnTracks | Overland]
) -> None:
    patient, impatient = (post_to(served.url, seconds) for seconds in (PATIENT_S, IMPATIENT_S))
    app = start(patient)
    served.refuse(True)
    assert not app.send()
    served.refuse(False)
    app.post = impatient
    os.kill(served.mongod.pid, signal.SIGSTOP)
    try:
        assert not app.send()
    finally:
        os.kill(served.mongod.pid, signal.SIGCONT)
    app.post = patient
    until(app.send)  # the server may need a moment to find its database again
    assert served.database[FIXES].count_documents({}) == 4
    assert served.database[REJECTS].count_documents({}) == 1


def test_a_thousand_of_the_longest_features_of_overland_fit_into_a_request(served: Served) -> None:
    app = Overland(post_to(served.url, PATIENT_S))
    app.features = [
        feature(**{**LONGEST, "device_id": f"{number:036}", "speed": number})
        for number in range(1_000)
    ]
    app.features.append(feature(device_id="last"))
    assert app.send()
    assert served.database[FIXES].count_documents({}) == 1_001
