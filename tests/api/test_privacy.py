"""No position, user, password or message of an exception reaches a log."""

import json
import logging
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError, OperationFailure

from locapi.fixes import validation
from locapi.settings import Settings, redacted
from locapi.storage import driver_errors
from tests.conftest import a_fix
from tests.support.processes import ask
from tests.support.serving import serve

LAT, USER, PASSWORD = 41.234567, "marked-user", "pa%3Fss%40wort"
SECRETS = ("41.234567", "marked-user", "ss%40wort", "ss@wort")
VALID = json.dumps(a_fix(lat=LAT, user_id=USER)).encode()


def bodies() -> list[bytes]:
    """Return valid and invalid bodies, all with something secret."""
    invalid: list[dict[str, Any]] = [
        {"lat": LAT * 9},
        {"long": "41.234567"},
        {"timestamp": USER},
        {USER: LAT},
    ]
    changed = [json.dumps(a_fix(**{"user_id": USER, "lat": LAT, **fields})) for fields in invalid]
    return [VALID, VALID, VALID[:-1], VALID + b"41.234567", *map(str.encode, changed)]


def test_error_log_does_not_quote_requests_or_exceptions(
    api: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    message = f'{{ insert: "fixes", user_id: "{USER}", lat: {LAT} }}'
    details = {"errmsg": message, "code": 13, "codeName": message}
    failures = [
        OperationFailure(message, 13, details),
        OperationFailure(message, 8, {**details, "code": 8}),
        DuplicateKeyError(message, 11000),
        BulkWriteError({"writeErrors": [{"index": 0, "code": 2, "errmsg": message}]}),
        KeyError(message),
        UnicodeEncodeError("utf-8", message, 0, 1, message),
    ]
    caplog.set_level(logging.DEBUG, "locapi")
    for failure in failures:
        with mock.patch("pymongo.collection.Collection.insert_many", side_effect=failure):
            codes = {api.put("/location", data=body).status_code for body in bodies()}
        assert codes == {400, 500}
    with mock.patch.object(validation, "parse", side_effect=ZeroDivisionError(message)):
        assert api.put("/location", data=VALID).status_code == 500
    assert len(caplog.records) >= 4
    for record in caplog.records:
        assert record.exc_info is None
        assert not any(secret in record.getMessage() for secret in SECRETS)


@pytest.mark.parametrize("text", ["a b", f"x: [Errno 1] {USER}", f"{USER}: no", "No 41.234567"])
def test_connection_error_shows_only_the_system_error(text: str) -> None:
    explained = str(driver_errors.explain(AutoReconnect(f"{text} {LAT}, Timeout: 1.0s, {USER}")))
    assert "41.234567" not in explained


def test_server_log_is_json_and_quotes_nothing_that_was_sent(
    mongodb_uri: str, tmp_path: Path
) -> None:
    wrong_user = mongodb_uri.replace("mongodb://", f"mongodb://{USER}:{PASSWORD}@")
    with serve(wrong_user, tmp_path, workers=1) as serving:
        codes = {ask(serving.url, "PUT", "/location", body)[0] for body in bodies()}
        ask(serving.url, "GET", f"/{USER}?lat={LAT}")
    assert serving.process.returncode == 0
    assert codes == {400, 500}
    text = serving.log.read_text()
    assert not any(secret in text for secret in SECRETS), text
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    failed = [line for line in lines if line["level"] == "ERROR"]
    assert "does not accept the credentials" in failed[0]["message"]
    assert len(failed) <= 2
    assert all(line["request_id"] for line in failed)
    assert any("mongodb://***@" in line["message"] for line in lines)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("mongodb://h:1/db", "mongodb://h:1/db"),
        ("mongodb://u:p@h1:1,h2/db?authSource=x", "mongodb://***@h1:1,h2/db?***"),
        ("mongodb://u:p?q@ss@h", "mongodb://***@h"),
        ("mongodb+srv://u:p@h/?tlsCertificateKeyFilePassword=x", "mongodb+srv://***@h/?***"),
        ("u:p@h", "***"),
    ],
)
def test_uri_is_shown_without_secrets(uri: str, shown: str) -> None:
    assert redacted(uri) == shown
    assert f"mongodb_uri={shown}, mongodb_password_file=" in repr(Settings(mongodb_uri=uri))
