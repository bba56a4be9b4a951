"""No position, user, password or message of an exception reaches a log."""

import json
import logging
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError, OperationFailure

from locapi import faults, schema
from locapi.settings import Settings, redacted
from tests.conftest import a_fix, free_port
from tests.test_end_to_end import DEADLINE_S, LOCCTL, ask

LAT, USER, PASSWORD = 41.234567, "marked-user", "pa%3Fss%40wort"
MARKS = ("41.234567", "marked-user", "ss%40wort", "ss@wort")


def bodies() -> list[bytes]:
    good = json.dumps(a_fix(lat=LAT, user_id=USER)).encode()
    bad: list[dict[str, Any]] = [
        {"lat": LAT * 9},
        {"long": "41.234567"},
        {"timestamp": USER},
        {USER: LAT},
    ]
    return [
        good,
        good,
        good[:-1],
        good + b"41.234567",
        *(json.dumps(a_fix(**{"user_id": USER, "lat": LAT, **fields})).encode() for fields in bad),
    ]


def test_what_fails_in_a_request_is_not_quoted(
    api: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    said = f'{{ insert: "fixes", user_id: "{USER}", lat: {LAT} }}'
    details = {"errmsg": said, "code": 13, "codeName": said}
    failures = [
        OperationFailure(said, 13, details),
        OperationFailure(said, 8, {**details, "code": 8}),
        DuplicateKeyError(said, 11000),
        BulkWriteError({"writeErrors": [{"index": 0, "code": 2, "errmsg": said}]}),
        KeyError(said),
        UnicodeEncodeError("utf-8", said, 0, 1, said),
    ]
    caplog.set_level(logging.DEBUG, "locapi")
    for failure in failures:
        with mock.patch("pymongo.collection.Collection.insert_many", side_effect=failure):
            codes = {api.put("/location", data=body).status_code for body in bodies()}
        assert codes == {400, 500}
    with mock.patch.object(schema, "parse", side_effect=ZeroDivisionError(said)):
        assert api.put("/location", data=bodies()[0]).status_code == 500
    assert len(caplog.records) >= 4
    for record in caplog.records:
        assert record.exc_info is None
        assert not any(mark in record.getMessage() for mark in MARKS)


@pytest.mark.parametrize("text", ["a b", f"x: [Errno 1] {USER}", f"{USER}: no", "No 41.234567"])
def test_of_a_connection_only_what_the_system_says_is_shown(text: str) -> None:
    explained = str(faults.explain(AutoReconnect(f"{text} {LAT}, Timeout: 1.0s, {USER}")))
    assert "41.234567" not in explained


def test_a_real_server_logs_objects_and_nothing_that_was_sent(
    mongodb_uri: str, tmp_path: Path
) -> None:
    log, port = tmp_path / "log", free_port()
    secret = mongodb_uri.replace("mongodb://", f"mongodb://{USER}:{PASSWORD}@")
    with log.open("w") as out:
        serve = subprocess.Popen(
            [LOCCTL, "serve", "--port", str(port), "--workers", "1"],
            env={**os.environ, "MONGODB_URI": secret},
            stdout=out,
            stderr=out,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(url)
        codes = {ask(url, "PUT", "/location", body)[0] for body in bodies()}
        ask(url, "GET", f"/{USER}?lat={LAT}")
    finally:
        serve.terminate()
        assert serve.wait(DEADLINE_S) == 0
    assert codes == {400, 500}  # there is no such user
    text = log.read_text()
    assert not any(mark in text for mark in MARKS), text
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    failed = [line for line in lines if line["level"] == "ERROR"]
    assert "does not accept the credentials" in failed[0]["message"]
    assert len(failed) <= 2
    assert all(line["request_id"] for line in failed)
    assert any("mongodb://***@" in line["message"] for line in lines)


def wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            ask(url, "GET", "/")
            return
        time.sleep(0.05)
    pytest.fail("the API did not start")


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
def test_a_uri_is_shown_without_its_secrets(uri: str, shown: str) -> None:
    assert redacted(uri) == shown
    assert f"mongodb_uri={shown}, mongodb_password_file=" in repr(Settings(mongodb_uri=uri))
