"""Real failures of a real mongod: each is a 500, one line that says what to do, exit code 1."""

import logging
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    CursorNotFound,
    DuplicateKeyError,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from locapi.api.app import create_app
from locapi.errors import DatabaseRefused, DatabaseUnavailable
from locapi.settings import Settings
from locapi.storage import driver_errors, mongo
from tests.conftest import Locctl, a_fix, new_database_name
from tests.support import memory
from tests.support.mongod import Client, running, running_with_root

NO_PRIMARY = "the database has no primary that takes writes"
FULL = "the database's disk is full (OutOfDiskSpace, code 14031); free space on it"
NO_RIGHT = "the database does not grant the right (Unauthorized, code 13)"


@pytest.fixture(scope="module")
def failing() -> Iterator[str]:
    """Yield the URI of a mongod that can be made to fail."""
    option = "--setParameter=enableTestCommands=1"
    with memory.directory() as home, running(home, option) as host:
        timeouts = "serverSelectionTimeoutMS=1500&heartbeatFrequencyMS=500"
        yield f"mongodb://{host}/?directConnection=true&{timeouts}"


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """Yield the host of a mongod that asks for a password, and has a user who may only read."""
    with memory.directory() as home, running_with_root(home, "geheim-1") as (host, client):
        client.admin.command("createUser", "reader", pwd="r", roles=["readAnyDatabase"])
        yield host


@pytest.fixture(scope="module")
def headless() -> Iterator[str]:
    """Yield the host of a replica set that was never initiated."""
    with memory.directory() as home, running(home, "--replSet=rs0") as host:
        yield host


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locapi.ingest.store.DEADLINE_S", 1.5)


@contextmanager
def fail_point(uri: str, **data: Any) -> Iterator[None]:
    """Let inserts by locapi fail."""
    with Client(uri) as client:
        data = {"failCommands": ["insert"], "appName": "locapi", **data}
        client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
        try:
            yield
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")


Put = Callable[..., Any]


@contextmanager
def api(uri: str) -> Iterator[Put]:
    settings = Settings(mongodb_uri=uri, database=new_database_name())
    with mongo.open_database(settings) as database:
        client = create_app(database=database).test_client()
        yield lambda **fields: client.put("/location", json=a_fix(**fields))


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.ERROR and record.name == "locapi.api.app"
    ]


def fail_twice(put: Put, caplog: pytest.LogCaptureFixture, *, retry: bool) -> str:
    """Put two fixes that fail; return the one line that is logged, which shows neither."""
    responses = [put(lat=40.777777, user_id="marked") for _ in range(2)]
    assert {response.status_code for response in responses} == {500}
    code = "database_unavailable" if retry else "internal_error"
    assert {response.get_json()["error"]["code"] for response in responses} == {code}
    assert {"Retry-After" in response.headers for response in responses} == {retry}
    [line] = logged(caplog)
    assert "40.777777" not in line
    assert "marked" not in line
    return line.removeprefix("PUT /location: ")


def assert_one_sentence(done: "subprocess.CompletedProcess[str]", message: str) -> None:
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "retry", "message"),
    [
        (13, False, f"{NO_RIGHT}; put a user into MONGODB_URI that has"),
        (18, False, "does not accept the credentials (AuthenticationFailed, code 18); check user"),
        (50, True, "the database does not answer in time (MaxTimeMSExpired, code 50); check its"),
        (91, True, "the database is shutting down (ShutdownInProgress, code 91); check that it"),
        (189, True, f"{NO_PRIMARY} (PrimarySteppedDown, code 189); check with rs.status()"),
        (371, True, "writes are blocked (UserWritesBlocked, code 371); unblock them with"),
        (10107, True, f"{NO_PRIMARY} (NotWritablePrimary, code 10107); check with rs.status()"),
        (11602, True, f"{NO_PRIMARY} (InterruptedDueToReplStateChange, code 11602); check"),
        (14031, True, FULL),
        (8, False, "the database refused (UnknownError, code 8); check its log"),
    ],
)
def test_a_refused_write_is_logged_once_in_our_words(
    failing: str, caplog: pytest.LogCaptureFixture, code: int, retry: bool, message: str
) -> None:
    with api(failing) as put:
        assert put(user_id="before").status_code == 200
        with fail_point(failing, errorCode=code):
            line = fail_twice(put, caplog, retry=retry)
    assert message in line
    assert "failpoint" not in line


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (64, "too few members of the replica set confirm a write (WriteConcernFailed, code 64)"),
        (91, "the database is shutting down (ShutdownInProgress, code 91)"),
        (11602, f"{NO_PRIMARY} (InterruptedDueToReplStateChange, code 11602)"),
    ],
)
def test_a_write_that_is_not_confirmed_is_not_reported_as_stored(
    failing: str, caplog: pytest.LogCaptureFixture, code: int, message: str
) -> None:
    with api(failing) as put:
        with fail_point(failing, writeConcernError={"code": code, "errmsg": "40.777777"}):
            responses = [put(user_id=f"u{n}") for n in range(2)]
    assert [response.status_code for response in responses] == [500, 500]
    assert message in logged(caplog)[0]


def test_a_broken_connection_is_a_500(failing: str, caplog: pytest.LogCaptureFixture) -> None:
    with api(failing) as put, fail_point(failing, closeConnection=True):
        line = fail_twice(put, caplog, retry=True)
    assert "the database does not answer (" in line
    assert "connection closed); check that it runs and that MONGODB_URI is its address" in line


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("", NO_RIGHT),
        ("root:geheim-2@", "the database does not accept the credentials (AuthenticationFailed"),
        ("reader:r@", NO_RIGHT),
    ],
)
def test_credentials_that_are_wrong_or_not_sufficient_are_reported(
    guarded: str,
    locctl: Locctl,
    caplog: pytest.LogCaptureFixture,
    user: str,
    message: str,
    tmp_path: Path,
) -> None:
    uri = f"mongodb://{user}{guarded}/?directConnection=true"
    with api(uri) as put:
        assert message in fail_twice(put, caplog, retry=False)
    commands = [["rollup", "--watch", "9"]]
    if user.startswith("root"):
        commands += [["prune", "--older-than", "0s"], ["verify"], ["erase", "a"]]
        commands += [["export", "-o", str(tmp_path / "out.csv")]]
    for command in commands:
        assert_one_sentence(locctl(*command, MONGODB_URI=uri), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["directConnection=true", "replicaSet=rs0", "appName=x"])
def test_a_replica_set_without_a_primary_is_reported(
    headless: str,
    locctl: Locctl,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
) -> None:
    monkeypatch.setattr("locapi.ingest.store.DEADLINE_S", 0.8)
    uri = f"mongodb://{headless}/?{option}&serverSelectionTimeoutMS=500"
    with api(uri) as put:
        assert NO_PRIMARY in fail_twice(put, caplog, retry=True)
    assert_one_sentence(locctl("rollup", MONGODB_URI=uri), NO_PRIMARY)


def test_too_many_open_files_are_reported(
    mongodb_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with api(f"{mongodb_uri}&serverSelectionTimeoutMS=300") as put:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4, hard))  # the next would be higher
        try:
            line = fail_twice(put, caplog, retry=True)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert put().status_code == 200
    assert "too many files open" in line
    assert "ulimit -n" in line


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            AutoReconnect("db.invalid:27017: [Errno -2] Name or service not known (configured"),
            DatabaseUnavailable,
            "the database's host name cannot be resolved (db.invalid:27017: [Errno -2] Name or "
            "service not known); check that the host or container runs, that its name "
            "in MONGODB_URI is right, and DNS",
        ),
        (
            AutoReconnect("SSL handshake failed: db:27017: [SSL: UNEXPECTED_EOF] secret"),
            DatabaseUnavailable,
            "no TLS connection to the database can be made; check that both sides use TLS and "
            "that the certificate fits tlsCAFile in MONGODB_URI",
        ),
        (
            NetworkTimeout("db:27017: timed out (configured timeouts: secret"),
            DatabaseUnavailable,
            "the database does not answer (db:27017: timed out); check that it runs and that "
            "MONGODB_URI is its address",
        ),
        (
            AutoReconnect("/d/mongod.sock: [Errno 111] Connection refused, Timeout: 1s, secret"),
            DatabaseUnavailable,
            "the embedded database does not answer; see its log, /d/mongod.log",
        ),
        (
            BulkWriteError({"writeErrors": [{"index": 0, "code": 14031, "errmsg": "secret"}]}),
            DatabaseUnavailable,
            FULL,
        ),
        (
            OperationFailure("28: No space left on device", 8, {"code": 8}),
            DatabaseUnavailable,
            FULL,
        ),
        (
            PyMongoError("secret"),
            DatabaseRefused,
            "the database refused (PyMongoError); check its log, or report a bug",
        ),
    ],
)
def test_an_error_is_explained_by_cause_and_remedy(
    error: PyMongoError, kind: type, message: str
) -> None:
    explained = driver_errors.explain(error)
    assert (type(explained), str(explained)) == (kind, message)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServerSelectionTimeoutError("x"), DatabaseUnavailable),
        (NotPrimaryError("x"), DatabaseUnavailable),
        (WTimeoutError("x", 64, {"errmsg": "x"}), DatabaseUnavailable),
        # What a roll-up meets if the primary steps down meanwhile.
        (WriteConcernError("x", 11602, {"errmsg": "x", "code": 11602}), DatabaseUnavailable),
        (CursorNotFound("x", 43, {"errmsg": "x", "code": 43}), DatabaseUnavailable),
        (DuplicateKeyError("x"), DatabaseRefused),
    ],
)
def test_a_driver_error_is_translated(error: PyMongoError, kind: type) -> None:
    with pytest.raises(kind), driver_errors.translated():
        raise error
