"""What the tests share: a real mongod, a fresh database each, and a way to send fixes."""

import gc
import itertools
import os
import random
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

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

from locapi.api.app import create_app
from locapi.rollup import watermarks
from locapi.settings import Settings
from locapi.storage import embedded, migrate, mongo
from locapi.storage.documents import Document
from tests.support import depth, memory
from tests.support.processes import LOCCTL

if TYPE_CHECKING:
    from tests.support.members import Members
    from tests.support.mongos import Mongos

ROOT = Path(__file__).parents[1]

set_hypothesis_home_dir(str(ROOT / ".cache" / "hypothesis"))
hypothesis.settings.register_profile("locapi", deadline=None, max_examples=depth.examples(25))
hypothesis.settings.load_profile("locapi")


def pytest_collection_finish() -> None:
    """Let no garbage collection visit what importing and collecting made: 5 % of the time."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After a failure, name the share of cases that was tried."""
    if terminalreporter.stats.get("failed"):
        terminalreporter.write_line(f"Repeat this share of cases with TEST_SEED={depth.SEED}")


RUN = f"test_{secrets.token_hex(4)}"  # so that runs on one MongoDB do not share databases
GIVEN_URI = os.environ.get("MONGODB_URI")

_numbers = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def _default_settings() -> Iterator[None]:
    """Let no setting of the developer's shell reach the program under test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name == "MONGODB_URI" or name.startswith("LOCAPI_"):
                patch.delenv(name)
        yield


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case of bytes by its argument: gzip writes the time, so workers would disagree."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    """Yield the URI of the MongoDB that MONGODB_URI names, or else of an embedded one.

    It has a query, so a test can append options by "&".
    """
    if not GIVEN_URI:
        with memory.directory() as home, embedded.mongod(home) as uri:
            yield uri
        return
    parts = urlsplit(GIVEN_URI)
    query = parts.query or "retryWrites=true"
    yield urlunsplit(parts._replace(path=parts.path or "/", query=query))
    with MongoClient[Document](GIVEN_URI) as client:
        for name in client.list_database_names():
            if name.startswith(RUN):
                client.drop_database(name)


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """Yield a directory in memory, for a database of the test's own."""
    with memory.directory() as directory:
        yield directory


def new_database_name() -> str:
    """Return the name of a database that no other test uses."""
    return f"{RUN}_{next(_numbers)}"


@pytest.fixture(scope="module")
def replica_set() -> "Iterator[Members]":
    from tests.support.members import Members  # which needs what is below

    with memory.directory() as home:
        members = Members(home)
        with members.running():
            yield members


@contextmanager
def fresh_database(mongodb_uri: str) -> Iterator[Database[Document]]:
    """Yield an empty database, which is dropped afterwards."""
    settings = Settings(mongodb_uri=mongodb_uri, database=new_database_name())
    with mongo.open_database(settings) as database:
        migrate.prepare(database)
        yield database
        database.client.drop_database(database.name)


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each process read the horizon each time, so that no prune waits until all know it."""
    monkeypatch.setattr(watermarks, "HORIZON_TRUST_S", 0.0)


@pytest.fixture
def db(mongodb_uri: str) -> Iterator[Database[Document]]:
    with fresh_database(mongodb_uri) as database:
        yield database


@pytest.fixture(scope="session")
def mongos() -> "Iterator[Mongos]":
    from tests.support.mongos import router

    with memory.directory() as home, router(home) as running:
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


Locctl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(db: Database[Document], mongodb_uri: str) -> dict[str, str]:
    """The environment of commands that use the test's database."""
    return {**os.environ, "MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name}


@pytest.fixture
def locctl(environ: dict[str, str]) -> Locctl:
    """Run `locctl` as a user does."""

    def run(
        *arguments: str | Path, cwd: Path | None = None, **changed: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [LOCCTL, *arguments],
            env={**environ, **changed},
            cwd=cwd,
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
    """Return a port of this host that nobody listens on.

    It lies below those that the kernel gives to clients, so that no connection takes it meanwhile.
    """
    for port in random.sample(range(10_000, 32_768), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a hundred ports are taken")
