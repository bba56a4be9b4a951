"""Requests and responses of the Flask application, on a stand-in for the database."""

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any
from unittest import mock

import mongomock
import pytest
from flask.testing import FlaskClient
from pymongo.errors import (
    ServerSelectionTimeoutError,
)
from werkzeug.test import TestResponse

from locapi.api import request_ids
from locapi.api.app import create_app
from locapi.ingest.known_fixes import KnownFixes
from tests.conftest import a_fix

STORED = {"status": "stored", "fix_time": "2017-01-01T18:05:12Z", "tz": "America/New_York"}
VALID = json.dumps(a_fix()).encode()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    # mongomock makes collections, but knows no options for them.
    monkeypatch.setattr(mongomock.Database, "create_collection", lambda *_, **__: None)
    return create_app(database=mongomock.MongoClient(tz_aware=True)["locapi"]).test_client()


def error(response: TestResponse) -> tuple[int, str]:
    body = response.get_json()
    assert response.content_type == "application/json"
    assert set(body) == {"error"}
    assert body["error"]["message"]
    return response.status_code, body["error"]["code"]


def test_fix_is_stored_and_its_repeat_is_a_duplicate(client: FlaskClient) -> None:
    first = client.put("/location", json=a_fix())
    assert (first.status_code, first.json) == (200, STORED)
    repeat = client.put("/location", json=a_fix(lat=12))
    assert (repeat.status_code, repeat.json) == (200, {**STORED, "status": "duplicate"})


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense"]
)
def test_content_type_is_ignored(client: FlaskClient, content_type: str | None) -> None:
    response = client.put("/location", data=VALID, content_type=content_type)
    assert (response.status_code, response.json) == (200, STORED)


def test_invalid_fix_gets_all_its_faults(client: FlaskClient) -> None:
    response = client.put("/location", json=a_fix(lat=91, speed="fast"))
    assert error(response) == (400, "invalid_fix")
    assert response.get_json()["error"]["fields"] == {
        "lat": [
            "must be a number from -90 to 90, such as 40.7128 (sent: 91; are lat and long swapped?)"
        ],
        "speed": [
            'must be a number 0 or more, such as 1.4 (sent: "fast"; a string is not a number)'
        ],
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"{", b"\xff", b"[" * 5000, b'{"lat": NaN}', b"x" * 8193, b"{}" + b" " * 8191],
)
def test_body_that_is_not_a_fix_gets_400(client: FlaskClient, body: bytes) -> None:
    assert error(client.put("/location", data=body)) == (400, "invalid_fix")


def test_body_may_have_8_kib(client: FlaskClient) -> None:
    assert client.put("/location", data=VALID.ljust(8192)).status_code == 200


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]
)
def test_other_methods_get_405_and_the_allowed_one(client: FlaskClient, method: str) -> None:
    response = client.open("/location", method=method)
    assert (response.status_code, response.content_type) == (405, "application/json")
    assert response.headers["Allow"] == "PUT"
    if method != "HEAD":
        assert response.get_json()["error"] == {
            "code": "method_not_allowed",
            "message": f"/location does not accept {method}; use PUT",
        }


def test_unknown_path_gets_404_and_where_to_look(client: FlaskClient) -> None:
    response = client.put("/locaton<", data=VALID)
    assert (response.status_code, response.content_type) == (404, "application/json")
    assert response.get_json()["error"] == {
        "code": "not_found",
        "message": "there is nothing at /locaton\\u003c; GET /docs lists the requests",
    }


def fail_with(failure: Exception) -> Any:
    return mock.patch("mongomock.collection.Collection.insert_many", side_effect=failure)


def test_repeat_gets_500_while_its_first_copy_may_not_be_on_disk(client: FlaskClient) -> None:
    client.put("/location", json=a_fix())
    with mock.patch.object(KnownFixes, "raw_copies", return_value={}):
        response = client.put("/location", json=a_fix())
    assert error(response) == (500, "database_unavailable")


def test_bug_gets_500_and_is_logged_without_its_message(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with fail_with(ZeroDivisionError("secret")), caplog.at_level(logging.ERROR):
        response = client.put("/location", json=a_fix())
    assert error(response) == (500, "internal_error")
    assert "Retry-After" not in response.headers
    assert b"secret" not in response.data
    assert "secret" not in caplog.text
    assert "unexpected error: ZeroDivisionError at " in caplog.text


def test_failures_that_differ_in_a_value_are_logged_once(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        with fail_with(ServerSelectionTimeoutError(f"10.0.0.{number}:27017: timed out")):
            assert error(client.put("/location", json=a_fix())) == (500, "database_unavailable")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("failure", "code"), [(None, 200), (ServerSelectionTimeoutError("secret"), 503)]
)
def test_readiness_checks_within_a_second_share_one_write(
    client: FlaskClient, failure: Exception | None, code: int
) -> None:
    with mock.patch("mongomock.Collection.delete_one", side_effect=failure) as write:
        responses = [client.get(path) for path in ("/readyz", "/health") * 10]
    assert {response.status_code for response in responses} == {code}
    if failure is None:
        assert responses[-1].json == {"status": "ok"}
    else:
        assert error(responses[-1]) == (503, "database_unavailable")
    assert write.call_count == 1


def test_every_response_has_a_request_id_and_nosniff(client: FlaskClient) -> None:
    new = set()
    for method, path in (("PUT", "/location"), ("GET", "/location"), ("GET", "/no")):
        for sent in (None, "", "a b", "x" * 65, "ü"):
            headers = {} if sent is None else {"X-Request-ID": sent}
            response = client.open(path, method=method, headers=headers)
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            [name] = response.headers.getlist("X-Request-ID")
            new.add(name)
        kept = client.open(path, method=method, headers={"X-Request-ID": "Phone-7.a_b"})
        assert kept.headers.getlist("X-Request-ID") == ["Phone-7.a_b"]
    assert len(new) == 15


def test_threads_get_different_request_ids() -> None:
    ids, threads, each = request_ids.generate(), 4, 20_000
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            taken = [pool.submit(lambda: list(islice(ids, each))) for _ in range(threads)]
        assert len({name for names in taken for name in names.result()}) == threads * each
    finally:
        sys.setswitchinterval(interval)


IMPORT = """
import gc, pathlib, sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
import cerberus, locapi.api.app, locapi.api.bridge
package = str(pathlib.Path(locapi.__file__).parent)
ours = [path for path in opened if path.startswith(package) or "swagger" in path]
print({path for path in ours if not path.endswith(".py") and ".pyc" not in path})
print({type(each) for each in gc.get_objects() if issubclass(type(each), cerberus.Validator)})
"""


def test_import_reads_no_files_and_makes_no_validators() -> None:
    command = [sys.executable, "-W", "error", "-c", IMPORT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\nset()\n"
