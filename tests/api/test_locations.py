"""`POST /locations`: many fixes of one request, and a result for each."""

import gzip
import json
import zlib
from typing import Any
from unittest import mock

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pymongo.errors import ServerSelectionTimeoutError
from werkzeug.test import TestResponse

from locapi.api.app import create_app
from locapi.api.batches import MAX_BATCH_BYTES, MAX_FIXES
from locapi.ingest import tokens
from locapi.settings import Settings
from locapi.storage.documents import Document
from tests.conftest import a_fix
from tests.support.depth import examples
from tests.support.reference import Reference
from tests.support.strategies import mixed_tracks

RECEIPT = {"fix_time": "2017-01-01T18:05:12Z", "tz": "America/New_York"}
STORED, DUPLICATE = {"status": "stored", **RECEIPT}, {"status": "duplicate", **RECEIPT}


def post(api: FlaskClient, body: Any, **headers: str) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api.post("/locations", data=data, headers=headers)


def results(api: FlaskClient, *fixes: Any) -> list[dict[str, Any]]:
    response = post(api, list(fixes))
    assert response.status_code == 200, response.json
    answer = response.get_json()
    assert [len(answer["results"])] == [len(fixes)]
    for status in ("stored", "duplicate", "invalid", "forbidden"):
        assert answer[status] == [each["status"] for each in answer["results"]].count(status)
    found: list[dict[str, Any]] = answer["results"]
    return found


def statuses(api: FlaskClient, *fixes: Any) -> list[str]:
    return [each["status"] for each in results(api, *fixes)]


def lines(*fixes: Any) -> bytes:
    return b"\n".join(json.dumps(fix).encode() for fix in fixes)


FIX = a_fix()
A_TIME = "must be a time such as 2017-01-01T18:05:12Z or, as local time, 2017-01-01 13:05:12"
OTHER = a_fix(timestamp="2017-01-01 13:05:13")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([FIX, OTHER]).encode(),
        json.dumps([FIX, OTHER], indent=2).encode(),
        lines(FIX, OTHER),
        lines(FIX, OTHER).replace(b"\n", b"\r\n") + b"\n\n",
    ],
)
def test_an_array_and_an_object_a_line_are_batches(api: FlaskClient, body: bytes) -> None:
    first, second = post(api, body).get_json()["results"]
    assert first == STORED
    assert second == {**STORED, "fix_time": "2017-01-01T18:05:13Z"}


@pytest.mark.parametrize("indent", [None, 2])
def test_one_object_is_a_batch_of_one(api: FlaskClient, indent: int | None) -> None:
    assert post(api, json.dumps(FIX, indent=indent).encode()).get_json()["results"] == [STORED]


def test_each_fix_gets_its_result_in_the_order_sent(
    api: FlaskClient, db: Database[Document]
) -> None:
    found = results(api, FIX, a_fix(lat=91), {**FIX, "lat": 1.0}, 7, OTHER)
    assert [each["status"] for each in found] == [
        *("stored", "invalid", "duplicate", "invalid", "stored")
    ]
    assert found[1]["fields"].keys() == {"lat"}
    assert found[2] == DUPLICATE
    assert found[3]["message"].startswith("the fix is not a JSON object (sent: 7")
    assert sorted(fix["lat"] for fix in db.fixes.find()) == [40.7, 40.7]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_broken_line_is_invalid_and_the_others_are_stored(api: FlaskClient, place: int) -> None:
    each, wanted = [lines(FIX), lines(OTHER)], ["stored", "stored"]
    each.insert(place, b'{"lat": ')
    wanted.insert(place, "invalid")
    response = post(api, b"\n".join(each))
    assert [result["status"] for result in response.get_json()["results"]] == wanted


@pytest.mark.parametrize(
    "timestamp",
    [
        "2017-01-01T18:05:12Z",
        "2017-01-01t18:05:12.000999z",
        "2017-01-01 13:05:12-05:00",
        "2017-01-02T00:05:12+0600",
    ],
)
def test_an_instant_and_its_local_time_are_one_fix(api: FlaskClient, timestamp: str) -> None:
    assert results(api, a_fix(timestamp=timestamp), FIX) == [STORED, DUPLICATE]


@pytest.mark.parametrize(
    "timestamp", ["2017-02-30T18:05:12Z", "0001-01-01T00:00:00+23:00", "2017-01-01T18:05:12", 7]
)
def test_malformed_time_is_invalid(api: FlaskClient, timestamp: Any) -> None:
    (found,) = results(api, a_fix(timestamp=timestamp))
    assert (found["status"], list(found["fields"])) == ("invalid", ["timestamp"])
    assert found["message"].startswith(f"timestamp: {A_TIME} (sent: ")


def test_missing_time_is_invalid_and_gets_both_forms(api: FlaskClient) -> None:
    bare = {name: value for name, value in FIX.items() if name != "timestamp"}
    (found,) = results(api, {**bare, "lat": 91})
    assert list(found["fields"]) == ["lat", "timestamp"]
    assert found["fields"]["timestamp"] == [f"required field ({A_TIME})"]


def test_unknown_values_are_kept_and_further_fields_ignored(
    api: FlaskClient, db: Database[Document]
) -> None:
    bare = {name: FIX[name] for name in ("timestamp", "lat", "long", "user_id")}
    marked = {**OTHER, "speed": -1, "accuracy": None, "battery": 0.5, "uuid": "x"}
    assert statuses(api, bare, marked, a_fix(accuracy=-1)) == ["stored", "stored", "invalid"]
    for fix in db.fixes.find():
        assert (fix["accuracy"], fix["speed"]) == (None, None)
        assert fix["accuracy_unknown"] == fix["speed_unknown"] == 1


@pytest.mark.parametrize("body", [b"", b"  ", b"x", b"7", b"[", b'{"lat"', b"[]]", b"\xff"])
def test_a_body_that_cannot_be_read_is_refused(api: FlaskClient, body: bytes) -> None:
    response = post(api, body)
    assert response.status_code == 400
    assert response.get_json()["error"]["code"] == "invalid_fix"


def test_an_empty_array_is_answered_with_no_results(api: FlaskClient) -> None:
    assert results(api) == []


def test_more_fixes_than_the_limit_are_refused_with_it(
    api: FlaskClient, db: Database[Document]
) -> None:
    for body in (b"[" + b"7," * MAX_FIXES + b"7]", b"{}\n" * (MAX_FIXES + 1)):
        response = post(api, body)
        assert response.status_code == 413
        assert "at most 1,000 fixes and 1,048,576 bytes" in response.get_json()["error"]["message"]
    assert db.fixes.count_documents({}) == 0


def test_a_gzipped_body_is_inflated(api: FlaskClient) -> None:
    response = post(api, gzip.compress(lines(FIX)), **{"Content-Encoding": "gzip"})
    assert response.get_json()["results"] == [STORED]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (gzip.compress(b" " * (MAX_BATCH_BYTES + 1)), 413),
        (gzip.compress(b"0" * 2**26), 413),
        (b" " * (MAX_BATCH_BYTES + 1), 413),
        (gzip.compress(lines(FIX))[:-9], 400),
        (gzip.compress(lines(FIX)) + b"x", 400),
        (zlib.compress(lines(FIX)), 400),
        (lines(FIX), 400),
    ],
)
def test_a_body_that_is_too_large_or_no_gzip_is_refused(
    api: FlaskClient, body: bytes, code: int
) -> None:
    encoding = {} if body.startswith(b" ") else {"Content-Encoding": "gzip"}
    assert post(api, body, **encoding).status_code == code


def test_an_unknown_content_encoding_is_refused(api: FlaskClient) -> None:
    assert post(api, lines(FIX), **{"Content-Encoding": "br"}).status_code == 400


def test_a_fix_of_another_user_than_the_token_s_is_forbidden(db: Database[Document]) -> None:
    api = create_app(Settings(auth="token"), db).test_client()
    assert post(api, [FIX]).status_code == 401
    token = tokens.add(db, "a1")
    response = post(api, [FIX, a_fix(user_id="b")], Authorization=f"Bearer {token}")
    assert [each["status"] for each in response.get_json()["results"]] == ["stored", "forbidden"]
    assert db.fixes.count_documents({}) == 1


def test_nothing_is_promised_if_the_database_fails(api: FlaskClient) -> None:
    error = ServerSelectionTimeoutError("no primary")
    with mock.patch("pymongo.collection.Collection.insert_many", side_effect=error):
        response = post(api, [FIX])
    assert response.status_code == 500
    assert response.headers["Retry-After"] == "2"
    assert results(api, FIX) == [STORED]


def test_another_host_is_refused(api: FlaskClient) -> None:
    assert post(api, [FIX], Host="evil.example").status_code == 421


def test_fixes_are_counted_by_what_became_of_them(api: FlaskClient) -> None:
    statuses(api, FIX, FIX, a_fix(lat=91))
    page = api.get("/metrics").text
    for status in ("stored", "duplicate", "invalid"):
        name = f'locapi_batch_results_total{{endpoint="locations",status="{status}"}}'
        assert f"{name} 1.0" in page


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mixed_tracks, st.booleans())
def test_a_batch_is_what_the_reference_makes_of_its_fixes_one_by_one(
    db: Database[Document], fixes: list[Any], local: bool
) -> None:
    db.fixes.delete_many({})
    api, reference = create_app(database=db).test_client(), Reference()
    sent = [
        {
            "timestamp": fix.instant.isoformat() if fix.instant else str(fix.wall),
            **{name: getattr(fix, name) for name in ("lat", "accuracy", "speed", "user_id")},
            "long": fix.long,
        }
        for fix in fixes
    ]
    body = lines(*sent) if local else json.dumps(sent).encode()
    found = [each["status"] for each in post(api, body).get_json()["results"]]
    assert found == [reference.put(fix) for fix in fixes]
