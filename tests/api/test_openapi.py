"""The OpenAPI document says what the application does, as far as JSON Schema can."""

import json
from importlib import metadata
from typing import Any
from unittest import mock

import pytest
import schemathesis
from flask.testing import FlaskClient
from pymongo.database import Database
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError
from werkzeug.test import TestResponse

from locapi.api.app import create_app
from locapi.api.bridge import BODY_S
from locapi.errors import InvalidFix, Overloaded, RequestTimeout
from locapi.fixes import validation
from locapi.fixes.rules import RULES, TIMESTAMP
from locapi.ingest import tokens
from locapi.settings import Settings
from locapi.storage.documents import Document, Reads
from tests.conftest import ROOT, a_fix
from tests.support import openapi
from tests.support.openapi import DOCUMENT, SCHEMAS, validator

OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
PUT = DOCUMENT["paths"]["/location"]["put"]
OWN: Reads = "own"


def is_fix(body: bytes) -> bool:
    try:
        validation.parse(body)
    except InvalidFix:
        return False
    return True


def contents() -> list[dict[str, Any]]:
    """Return the content of each request and each response."""
    operations = [operation for _, _, operation in OPERATIONS]
    responses = [each for operation in operations for each in operation["responses"].values()]
    return [each["content"] for each in [PUT["requestBody"], *responses]]


def shown(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the examples of a request or a response."""
    return list(node["content"]["application/json"]["examples"].values())


def test_document_is_valid_openapi_and_of_this_version() -> None:
    loaded = schemathesis.openapi.from_dict(DOCUMENT)
    loaded.validate()
    assert str(loaded.specification.version) == "3.1.0"
    assert loaded.statistic.operations.total == len(OPERATIONS)
    for schema in SCHEMAS.values():
        validator(schema)  # raises if the schema is invalid
    assert DOCUMENT["info"]["version"] == metadata.version("locapi")


def test_document_is_served_as_json_and_as_yaml(api: FlaskClient) -> None:
    as_json, as_yaml = api.get("/openapi.json"), api.get("/openapi.yaml")
    assert (as_json.status_code, as_json.content_type) == (200, "application/json")
    assert (as_yaml.status_code, as_yaml.content_type) == (200, "application/yaml")
    assert as_yaml.data == (ROOT / "locapi/api/openapi.yaml").read_bytes()
    assert as_json.get_json() == DOCUMENT


def test_paths_and_methods_are_those_of_the_application(db: Database[Document]) -> None:
    rules = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in create_app(database=db).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert {(path, method) for path, method, _ in OPERATIONS} == rules


def test_schema_of_a_fix_has_the_rules() -> None:
    schema = SCHEMAS["Fix"]
    assert schema["required"] == list(schema["properties"]) == list(RULES)
    assert schema["additionalProperties"] is False
    for name, rule in RULES.items():
        field = schema["properties"][name]
        assert field["type"] == rule["type"]
        for ours, theirs in {"minlength": "minLength", "maxlength": "maxLength"}.items():
            assert field.get(theirs) == rule.get(ours)
        for bound in ("min", "max"):
            assert field.get(f"{bound}imum") == rule.get(bound)
    assert schema["properties"]["timestamp"]["pattern"] == f"^{TIMESTAMP}$"


def test_every_example_is_valid_by_its_schema() -> None:
    for content in contents():
        for media in content.values():
            for example in media.get("examples", {}).values():
                assert example["summary"]
                validator(media["schema"]).validate(example["value"])


def test_example_fixes_are_fixes_and_get_the_example_receipts(api: FlaskClient) -> None:
    first, *others = shown(PUT["requestBody"])
    for receipt in shown(PUT["responses"]["200"]):
        response = api.put("/location", json=first["value"])
        assert (response.status_code, response.get_json()) == (200, receipt["value"])
    for example in others:
        assert api.put("/location", json=example["value"]).get_json()["status"] == "stored"
    for name, field in SCHEMAS["Fix"]["properties"].items():
        for example in field["examples"]:
            assert is_fix(json.dumps(a_fix(**{name: example})).encode())


def test_example_refusals_are_word_for_word(api: FlaskClient) -> None:
    refusals = shown(PUT["responses"]["400"])
    assert len(refusals) >= 8
    for example in refusals:
        body = example["description"].removeprefix("Request: `").removesuffix("`")
        response = api.put("/location", data=body)
        assert (response.status_code, response.get_json()) == (400, example["value"])


def conforms(response: TestResponse, path: str, method: str = "get") -> Any:
    """Check a response against the document, and return its JSON."""
    documented = DOCUMENT["paths"][path][method]["responses"][str(response.status_code)]
    sent = {"X-Request-ID", "Retry-After", "WWW-Authenticate"} & set(response.headers.keys())
    assert "X-Request-ID" in sent
    assert sent <= set(documented["headers"])
    media = documented["content"][response.mimetype]
    if response.mimetype != "application/json":
        return None
    validator(media["schema"]).validate(response.get_json())
    return response.get_json()


def test_error_responses_conform_and_are_the_examples(db: Database[Document]) -> None:
    api = create_app(Settings(auth="token"), db).test_client()
    authorized = {"Authorization": f"Bearer {tokens.add(db, 'a1')}"}
    codes = set()

    def check(response: TestResponse, status: int) -> None:
        assert response.status_code == status
        body = conforms(response, "/location", "put")
        codes.add(body["error"]["code"])
        if status != 400:
            assert body in [example["value"] for example in shown(PUT["responses"][str(status)])]

    check(api.put("/location", json=a_fix(lat=91), headers=authorized), 400)
    check(api.put("/location", json=a_fix()), 401)
    check(api.put("/location", json=a_fix(user_id="a2"), headers=authorized), 403)
    for failure in (
        ServerSelectionTimeoutError("down"),
        OperationFailure("no", 13),
        ZeroDivisionError(),
        Overloaded("many"),
        RequestTimeout(f"the body did not arrive within {BODY_S} s"),
    ):
        with mock.patch("pymongo.collection.Collection.insert_many", side_effect=failure):
            check(api.put("/location", json=a_fix(), headers=authorized), 500)
    down = ServerSelectionTimeoutError("down")
    with mock.patch("pymongo.collection.Collection.delete_one", side_effect=down):
        conforms(api.get("/readyz"), "/readyz")
        conforms(api.get("/health"), "/health")
    conforms(api.get("/livez"), "/livez")
    large = api.post("/locations", data=b" " * 2**21, headers=authorized)
    codes.add(conforms(large, "/locations", "post")["error"]["code"])
    batch = [a_fix(), a_fix(lat=91), a_fix(user_id="b")]
    conforms(api.post("/locations", json=batch, headers=authorized), "/locations", "post")
    conforms(api.post("/owntracks", data=b"", headers=authorized), "/owntracks", "post")
    conforms(api.post("/overland", data=b"", headers=authorized), "/overland", "post")
    conforms(api.post("/overland", data=b""), "/overland", "post")
    without_tokens = create_app(database=db).test_client()
    for method, url in (
        ("GET", "/location"),
        ("GET", "/no"),
        ("PUT", "http://page.example/location"),
    ):
        body = without_tokens.open(url, method=method).get_json()
        validator(SCHEMAS["Error"]).validate(body)
        codes.add(body["error"]["code"])
    error = SCHEMAS["Error"]["properties"]["error"]["properties"]
    assert codes == {"invalid_fix", *error["code"]["enum"]}


VALID = json.dumps(a_fix())


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ("more than 8,192 bytes", VALID + " " * validation.MAX_BODY_BYTES),
        ("repeats a key", VALID[:-1] + ', "lat": 40.7}'),
        ("A real calendar date", json.dumps(a_fix(timestamp="2017-02-29 13:05:12"))),
        ("A real calendar date", json.dumps(a_fix(timestamp="0000-01-01 13:05:12"))),
    ],
)
def test_rules_that_json_schema_cannot_express_are_stated_in_words(words: str, body: str) -> None:
    assert openapi.by_schema(body.encode())
    assert openapi.violations(body.encode()) == [words]
    assert not is_fix(body.encode())
    said = (
        DOCUMENT["info"]["description"] + SCHEMAS["Fix"]["properties"]["timestamp"]["description"]
    )
    assert words in said


def test_reading_conforms(db: Database[Document]) -> None:
    api = create_app(Settings(auth="token"), db).test_client()
    sends, reads = (
        {"Authorization": f"Bearer {tokens.add(db, 'a1', reads=each)}"} for each in (None, OWN)
    )
    for path, query in (("/minutes", "?changed_since=start"), ("/map", "?user_id=a1")):
        for headers, asked, status in (
            ({}, query, 401),
            (sends, query, 403),
            (reads, "?since=noon", 400),
            (reads, query, 200),
        ):
            response = api.get(path + asked, headers=headers, buffered=True)
            assert response.status_code == status
            conforms(response, path)
    conforms(api.get("/"), "/")
