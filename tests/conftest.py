"""What the tests share: a real mongod, a fresh database each, and a way to send fixes."""

import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from flask.testing import FlaskClient
from hypothesis.configuration import set_hypothesis_home_dir
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from locapi import embedded, mongo
from locapi.app import create_app
from locapi.mongo import Document
from locapi.settings import Settings
from tests.depth import examples

if TYPE_CHECKING:
    from tests.members import Members
    from tests.mongos import Mongos

ROOT = Path(__file__).parents[1]

set_hypothesis_home_dir(str(ROOT / ".cache" / "hypothesis"))
hypothesis.settings.register_profile("locapi", deadline=None, max_examples=examples(40))
hypothesis.settings.load_profile("locapi")

_numbers = itertools.count()


@pytest.fixture(scope="session")
def mongodb_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded.mongod(tmp_path_factory.mktemp("mongod")) as uri:
        yield uri


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Members]":
    from tests.members import Members  # which needs what is below

    members = Members(tmp_path_factory.mktemp("members"))
    with members.running():
        yield members


@contextmanager
def fresh_database(mongodb_uri: str) -> Iterator[Database[Document]]:
    """Yield an empty database, which is dropped afterwards."""
    settings = Settings(mongodb_uri=mongodb_uri, database=f"test_{next(_numbers)}")
    with mongo.open_database(settings) as database:
        mongo.prepare(database)
        yield database
        database.client.drop_database(database.name)


@pytest.fixture
def db(mongodb_uri: str) -> Iterator[Database[Document]]:
    with fresh_database(mongodb_uri) as database:
        yield database


@pytest.fixture(scope="session")
def mongos(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Mongos]":
    from tests.mongos import router

    with router(tmp_path_factory.mktemp("sharded")) as running:
        yield running


class Commands(CommandListener):
    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def watched(
    db: Database[Document], mongodb_uri: str, commands: Commands
) -> Iterator[Database[Document]]:
    """The test's database, through a client that notes each command."""
    client: MongoClient[Document] = MongoClient(
        mongodb_uri, tz_aware=True, event_listeners=[commands]
    )
    with client:
        yield client.get_database(
            db.name, read_concern=db.read_concern, write_concern=db.write_concern
        )


@pytest.fixture
def api(db: Database[Document]) -> FlaskClient:
    return create_app(database=db).test_client()


LOCCTL = Path(sys.executable).with_name("locctl")
Locctl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(db: Database[Document], mongodb_uri: str) -> dict[str, str]:
    """The environment of commands that use the test's database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCAPI_")}
    return {**kept, "MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name}


@pytest.fixture
def locctl(environ: dict[str, str]) -> Locctl:
    """Run `locctl` as a user does."""

    def run(*arguments: str | Path, **changed: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [LOCCTL, *arguments],
            env={**environ, **changed},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


Send = Callable[..., dict[str, Any]]


@pytest.fixture
def send(api: FlaskClient) -> Send:
    """Send a fix of which only what matters is given; the answer must be 200."""

    def send(timestamp: str = "2017-01-01 13:05:12", **fields: Any) -> dict[str, Any]:
        answer = api.put("/location", json=a_fix(timestamp=timestamp, **fields))
        assert answer.status_code == 200, answer.json
        body: dict[str, Any] = answer.get_json()
        return body

    return send


def a_fix(**fields: Any) -> dict[str, Any]:
    """Return a valid fix, at 18:05:12 UTC in New York, with some fields changed."""
    return {
        "timestamp": "2017-01-01 13:05:12",
        "lat": 40.7,
        "long": -74.0,
        "accuracy": 5.0,
        "speed": 1.5,
        "user_id": "a1",
        **fields,
    }


def free_port() -> int:
    """Return a port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
