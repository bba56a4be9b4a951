"""Real faults of a real mongod: each is a 500, one line that says what to do, exit code 1."""

import itertools
import logging
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pymongo import MongoClient
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
)

from locapi import faults, mongo
from locapi.app import create_app
from locapi.embedded import find_mongod
from locapi.errors import DatabaseRefused, DatabaseUnavailable
from locapi.settings import Settings
from tests.conftest import a_fix
from tests.test_end_to_end import DEADLINE_S, LOCCTL

Client = MongoClient[dict[str, Any]]
_numbers = itertools.count()

NO_PRIMARY = "the database has no primary that takes writes"
FULL = "the database's disk is full (OutOfDiskSpace, code 14031); free space on it"


@contextmanager
def running(home: Path, *options: str) -> Iterator[str]:
    """Run a mongod of one's own; yield what its URI has for a host."""
    (home / "db").mkdir(parents=True, exist_ok=True)
    command = [
        str(find_mongod()),
        f"--dbpath={home / 'db'}",
        f"--bind_ip={home / 's.sock'}",
        "--nounixsocket",
        "--wiredTigerCacheSizeGB=0.25",
        "--setParameter=diagnosticDataCollectionEnabled=false",
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        host = quote(str(home / "s.sock"), safe="")
        try:
            with Client(f"mongodb://{host}/?directConnection=true") as client:
                client.admin.command("hello")
            yield host
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("f"), "--setParameter=enableTestCommands=1") as host:
        yield f"mongodb://{host}/?directConnection=true&serverSelectionTimeoutMS=1500&heartbeatFrequencyMS=500"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the host of a mongod that asks for a password, and has a user who may only read."""
    with running(tmp_path_factory.mktemp("g"), "--auth") as host:
        with Client(f"mongodb://{host}/?directConnection=true") as client:
            client.admin.command("createUser", "root", pwd="geheim-1", roles=["root"])
        with Client(f"mongodb://root:geheim-1@{host}/?directConnection=true") as client:
            client.admin.command("createUser", "reader", pwd="r", roles=["readAnyDatabase"])
        yield host


@pytest.fixture(scope="module")
def headless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the host of a replica set that was never initiated."""
    with running(tmp_path_factory.mktemp("h"), "--replSet=rs0") as host:
        yield host


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locapi.fixes.DEADLINE_S", 1.5)


@contextmanager
def fail_point(uri: str, commands: list[str], **data: Any) -> Iterator[None]:
    with Client(uri) as client:
        data = {"failCommands": commands, "appName": "locapi", **data}
        client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
        try:
            yield
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")


Put = Callable[..., Any]


@contextmanager
def answering(uri: str) -> Iterator[Put]:
    settings = Settings(mongodb_uri=uri, database=f"faults_{next(_numbers)}")
    with mongo.open_database(settings) as database:
        client = create_app(database=database).test_client()
        yield lambda **fields: client.put("/location", json=a_fix(**fields))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.ERROR and record.name == "locapi.api"
    ]


def fails_once_told(put: Put, caplog: pytest.LogCaptureFixture, *, waits: bool) -> str:
    answers = [put(lat=40.777777, user_id="marked") for _ in range(2)]
    assert {answer.status_code for answer in answers} == {500}
    code = "database_unavailable" if waits else "internal_error"
    assert {answer.get_json()["error"]["code"] for answer in answers} == {code}
    assert {"Retry-After" in answer.headers for answer in answers} == {waits}
    [line] = told(caplog)
    assert "40.777777" not in line
    assert "marked" not in line
    return line.removeprefix("PUT /location: ")


@pytest.mark.parametrize(
    ("code", "waits", "said"),
    [
        (13, False, "does not grant the right (Unauthorized, code 13); put a user into MONGODB"),
        (18, False, "does not accept the credentials (AuthenticationFailed, code 18); see that"),
        (50, True, "the database does not answer in time (MaxTimeMSExpired, code 50); see its"),
        (91, True, "the database is shutting down (ShutdownInProgress, code 91); see that it is"),
        (189, True, f"{NO_PRIMARY} (PrimarySteppedDown, code 189); see by rs.status()"),
        (371, True, "writes are blocked (UserWritesBlocked, code 371); lift that with"),
        (10107, True, f"{NO_PRIMARY} (NotWritablePrimary, code 10107); see by rs.status()"),
        (11602, True, f"{NO_PRIMARY} (InterruptedDueToReplStateChange, code 11602); see by"),
        (14031, True, FULL),
        (8, False, "the database refused (UnknownError, code 8); see its log"),
    ],
)
def test_what_the_database_refuses_is_told_once_in_our_words(
    failing: str, caplog: pytest.LogCaptureFixture, code: int, waits: bool, said: str
) -> None:
    with answering(failing) as put:
        assert put(user_id="before").status_code == 200
        with fail_point(failing, ["insert"], errorCode=code):
            line = fails_once_told(put, caplog, waits=waits)
    assert said in line
    assert "failpoint" not in line


def test_a_write_that_too_few_confirm_is_not_taken_for_stored(
    failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    doubt = {"code": 64, "errmsg": "40.777777"}
    with answering(failing) as put:
        with fail_point(failing, ["insert"], writeConcernError=doubt):
            answers = [put(user_id=f"u{n}") for n in range(2)]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert "too few of the replica set confirm a write" in told(caplog)[0]


def test_a_connection_that_breaks_is_a_500(failing: str, caplog: pytest.LogCaptureFixture) -> None:
    with answering(failing) as put, fail_point(failing, ["insert"], closeConnection=True):
        line = fails_once_told(put, caplog, waits=True)
    assert "the database does not answer (" in line
    assert "connection closed); see that it runs and that MONGODB_URI names it" in line


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("", "the database does not grant the right (Unauthorized, code 13)"),
        ("root:geheim-2@", "the database does not accept the credentials (AuthenticationFailed"),
        ("reader:r@", "the database does not grant the right (Unauthorized, code 13)"),
    ],
)
def test_credentials_that_are_wrong_or_not_enough_are_told(
    guarded: str, caplog: pytest.LogCaptureFixture, user: str, said: str, tmp_path: Path
) -> None:
    uri = f"mongodb://{user}{guarded}/?directConnection=true"
    with answering(uri) as put:
        assert said in fails_once_told(put, caplog, waits=False)
    commands = [["rollup", "--watch", "9"]]
    if user.startswith("root"):
        commands += [["prune", "--older-than", "0s"], ["verify"], ["erase", "a"]]
        commands += [["export", "-o", str(tmp_path / "out.csv")]]
    for command in commands:
        assert_one_sentence(locctl(uri, *command), said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["directConnection=true", "replicaSet=rs0", "appName=x"])
def test_a_replica_set_without_a_primary_is_told(
    headless: str, caplog: pytest.LogCaptureFixture, option: str
) -> None:
    uri = f"mongodb://{headless}/?{option}&serverSelectionTimeoutMS=500"
    with answering(uri) as put:
        assert NO_PRIMARY in fails_once_told(put, caplog, waits=True)
    assert_one_sentence(locctl(uri, "rollup"), NO_PRIMARY)


def locctl(uri: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "MONGODB_URI": uri, "LOCAPI_DATABASE": "faults"}
    return subprocess.run(
        [LOCCTL, *arguments], env=environ, capture_output=True, text=True, timeout=DEADLINE_S
    )


def assert_one_sentence(done: "subprocess.CompletedProcess[str]", said: str) -> None:
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_too_many_open_files_are_told(mongodb_uri: str, caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with answering(f"{mongodb_uri}&serverSelectionTimeoutMS=300") as put:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4, hard))  # the next would be higher
        try:
            line = fails_once_told(put, caplog, waits=True)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert put().status_code == 200
    assert "too many files open" in line
    assert "ulimit -n" in line


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            AutoReconnect("db.invalid:27017: [Errno -2] Name or service not known (configured"),
            DatabaseUnavailable,
            "the database's host name cannot be resolved (db.invalid:27017: [Errno -2] Name or"
            " service not known); see that MONGODB_URI is spelled right and DNS works",
        ),
        (
            AutoReconnect("SSL handshake failed: db:27017: [SSL: UNEXPECTED_EOF] secret"),
            DatabaseUnavailable,
            "no TLS connection to the database comes about; see that both sides use TLS and that "
            "the certificate and tlsCAFile in MONGODB_URI fit",
        ),
        (
            NetworkTimeout("db:27017: timed out (configured timeouts: secret"),
            DatabaseUnavailable,
            "the database does not answer (db:27017: timed out); see that it runs and that "
            "MONGODB_URI names it",
        ),
        (
            BulkWriteError({"writeErrors": [{"index": 0, "code": 14031, "errmsg": "secret"}]}),
            DatabaseUnavailable,
            "the database's disk is full (OutOfDiskSpace, code 14031); free space on it",
        ),
        (
            OperationFailure("28: No space left on device", 8, {"code": 8}),
            DatabaseUnavailable,
            "the database's disk is full (OutOfDiskSpace, code 14031); free space on it",
        ),
        (
            PyMongoError("secret"),
            DatabaseRefused,
            "the database refused (PyMongoError); see its log, or report a bug of ours",
        ),
    ],
)
def test_an_error_is_explained(error: PyMongoError, kind: type, said: str) -> None:
    explained = faults.explain(error)
    assert (type(explained), str(explained)) == (kind, said)
