"""HTTP in, HTTP out, on a stand-in database: codes and bodies, no more."""

import json
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any
from unittest import mock

import mongomock
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pymongo.errors import (
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from locapi import api
from locapi.app import create_app
from tests.conftest import a_fix

STORED = {"status": "stored", "fix_time": "2017-01-01T18:05:12Z", "tz": "America/New_York"}


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Flask:
    # mongomock makes collections, but knows no options for them.
    monkeypatch.setattr(mongomock.Database, "create_collection", lambda *_, **__: None)
    return create_app(database=mongomock.MongoClient(tz_aware=True)["locapi"])


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def error(answer: Any) -> tuple[int, str]:
    assert answer.content_type == "application/json"
    assert set(answer.json) == {"error"}
    assert answer.json["error"]["message"]
    return answer.status_code, answer.json["error"]["code"]


def test_a_fix_is_stored_and_its_repeat_a_duplicate(client: FlaskClient) -> None:
    first = client.put("/location", json=a_fix())
    assert (first.status_code, first.json) == (200, STORED)
    repeat = client.put("/location", json=a_fix(lat=12))
    assert (repeat.status_code, repeat.json) == (200, {**STORED, "status": "duplicate"})


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense"]
)
def test_the_content_type_is_not_held_against_the_body(
    client: FlaskClient, content_type: str | None
) -> None:
    answer = client.put("/location", data=json.dumps(a_fix()), content_type=content_type)
    assert (answer.status_code, answer.json) == (200, STORED)


def test_a_bad_fix_is_told_every_fault(client: FlaskClient) -> None:
    answer = client.put("/location", json=a_fix(lat=91, speed="fast"))
    assert error(answer) == (400, "invalid_fix")
    assert answer.get_json()["error"]["fields"] == {
        "lat": [
            "must be a number from -90 to 90, such as 40.7128 (sent: 91; are lat and long swapped?)"
        ],
        "speed": ['must be a number 0 or more, such as 1.4 (sent: "fast"; a string is no number)'],
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"{", b"\xff", b"[" * 5000, b'{"lat": NaN}', b"x" * 8193, b"{}" + b" " * 8191],
)
def test_what_is_no_fix_at_all_gets_400(client: FlaskClient, body: bytes) -> None:
    assert error(client.put("/location", data=body)) == (400, "invalid_fix")


def test_a_body_of_8_kib_is_read(client: FlaskClient) -> None:
    body = json.dumps(a_fix()).encode()
    assert client.put("/location", data=body + b" " * (8192 - len(body))).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/location/", "//location", "/locations", "/static/x", "/%00"]
)
def test_another_path_gets_404(client: FlaskClient, path: str) -> None:
    assert error(client.put(path, json=a_fix())) == (404, "not_found")


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]
)
def test_another_method_gets_405_and_is_told_the_right_one(
    client: FlaskClient, method: str
) -> None:
    answer = client.open("/location", method=method)
    assert (answer.status_code, answer.content_type) == (405, "application/json")
    assert answer.headers["Allow"] == "PUT"


DATABASE_ERRORS = [
    ServerSelectionTimeoutError("db-7.internal:27017: secret"),
    NetworkTimeout("db-7.internal:27017: secret"),
    NotPrimaryError("secret"),
]


def fail_with(failure: Exception) -> Any:
    return mock.patch("mongomock.collection.Collection.insert_many", side_effect=failure)


@pytest.mark.parametrize("failure", DATABASE_ERRORS, ids=lambda failure: type(failure).__name__)
def test_a_database_that_is_away_gets_500_and_when_to_come_back(
    client: FlaskClient, failure: PyMongoError
) -> None:
    with fail_with(failure):
        answer = client.put("/location", json=a_fix())
    assert error(answer) == (500, "database_unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert b"secret" not in answer.data


def test_a_repeat_whose_first_copy_is_not_known_to_be_on_disk_gets_500(client: FlaskClient) -> None:
    client.put("/location", json=a_fix())
    with mock.patch("mongomock.collection.Collection.find_one", return_value=None):
        answer = client.put("/location", json=a_fix())
    assert error(answer) == (500, "database_unavailable")


@pytest.mark.parametrize("failure", [OperationFailure("secret", 13), ZeroDivisionError("secret")])
def test_a_fault_of_ours_gets_500_and_its_cause_goes_to_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    with fail_with(failure), caplog.at_level(logging.ERROR):
        answer = client.put("/location", json=a_fix())
    assert error(answer) == (500, "internal_error")
    assert b"secret" not in answer.data
    assert "secret" not in caplog.text
    known = isinstance(failure, OperationFailure)
    assert ("put a user into MONGODB_URI" if known else "ZeroDivisionError at ") in caplog.text


def test_health_says_ok_or_503(app: Flask, client: FlaskClient) -> None:
    database = app.extensions["locapi"]["database"]
    with mock.patch.object(database, "command", return_value={"ok": 1.0}):
        answer = client.get("/health")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})
    with mock.patch.object(database, "command", side_effect=ServerSelectionTimeoutError("secret")):
        assert error(client.get("/health")) == (503, "database_unavailable")


def test_every_answer_bears_the_requests_id_and_nosniff(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    made = set()
    for method, path in (("PUT", "/location"), ("GET", "/location"), ("GET", "/no")):
        for sent in (None, "", "a b", "x" * 65, "ü"):
            headers = {} if sent is None else {"X-Request-ID": sent}
            answer = client.open(path, method=method, headers=headers)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            [name] = answer.headers.getlist("X-Request-ID")
            made.add(name)
        taken = client.open(path, method=method, headers={"X-Request-ID": "Phone-7.a_b"})
        assert taken.headers.getlist("X-Request-ID") == ["Phone-7.a_b"]
    assert len(made) == 15


def test_threads_that_take_names_at_once_get_different_ones() -> None:
    ids, threads, each = api._request_ids(), 4, 20_000
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            taken = [pool.submit(lambda: list(islice(ids, each))) for _ in range(threads)]
        assert len({name for names in taken for name in names.result()}) == threads * each
    finally:
        sys.setswitchinterval(interval)
