"""The OpenAPI document agrees with the rules, but for what JSON Schema cannot say."""

import json
from importlib import metadata
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from locapi import openapi, schema
from locapi.app import create_app
from locapi.errors import InvalidFix
from locapi.mongo import Document
from tests.conftest import a_fix
from tests.depth import examples
from tests.fuzz import expected
from tests.test_schema import json_values

DOCUMENT = openapi.document()
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def is_fix(body: bytes) -> bool:
    try:
        schema.parse(body)
    except InvalidFix:
        return False
    return True


def resolved(node: Any) -> Any:
    """Return a schema with each reference replaced by what it names."""
    if "$ref" in node:
        return SCHEMAS[node["$ref"].removeprefix("#/components/schemas/")]
    return node


def shown(body: Any) -> list[dict[str, Any]]:
    return list(body["content"]["application/json"]["examples"].values())


def test_the_document_is_openapi_3_1_and_its_schemas_are_json_schemas() -> None:
    loaded = schemathesis.openapi.from_dict(DOCUMENT)
    loaded.validate()
    assert str(loaded.specification.version) == "3.1.0"
    assert loaded.statistic.operations.total == len(OPERATIONS)
    for each in SCHEMAS.values():
        jsonschema_rs.Draft202012Validator(each)  # raises for what is no schema
    assert DOCUMENT["info"]["version"] == metadata.version("locapi")


def test_the_document_is_served(api: FlaskClient) -> None:
    answer = api.get("/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.get_json() == json.loads(openapi.text()) == DOCUMENT


def test_the_paths_and_methods_are_the_applications(db: Database[Document]) -> None:
    rules = {
        (rule.rule, method.lower())
        for rule in create_app(database=db).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    documented = {(path, method) for path, method, _ in OPERATIONS}
    assert documented == rules


def test_the_codes_are_the_contracts() -> None:
    codes = {path: set(operation["responses"]) for path, _, operation in OPERATIONS}
    assert codes["/location"] == {"200", "400", "401", "403", "500"}
    assert codes["/health"] == {"200", "503"}


@pytest.mark.parametrize(
    "content",
    [
        content
        for _, _, operation in OPERATIONS
        for content in [
            operation.get("requestBody", {}).get("content", {}),
            *(answer["content"] for answer in operation["responses"].values()),
        ]
    ],
)
def test_every_example_is_valid_by_its_schema(content: dict[str, Any]) -> None:
    for media in content.values():
        validator = jsonschema_rs.Draft202012Validator(resolved(media["schema"]))
        for example in media.get("examples", {}).values():
            assert example["summary"]
            validator.validate(example["value"])


def test_every_answer_of_json_has_an_example_but_the_document_itself() -> None:
    without = [
        (path, code)
        for path, _, operation in OPERATIONS
        for code, answer in operation["responses"].items()
        if not answer["content"].get("application/json", {"examples": 1}).get("examples")
    ]
    assert without == [("/openapi.json", "200")]


def test_the_examples_of_a_fix_are_fixes_and_answered_as_shown(api: FlaskClient) -> None:
    put = DOCUMENT["paths"]["/location"]["put"]
    first, *others = shown(put["requestBody"])
    for receipt in shown(put["responses"]["200"]):
        answer = api.put("/location", json=first["value"])
        assert (answer.status_code, answer.get_json()) == (200, receipt["value"])
    for example in others:
        assert api.put("/location", json=example["value"]).get_json()["status"] == "stored"
    for name, field in SCHEMAS["Fix"]["properties"].items():
        for example in field["examples"]:
            assert is_fix(json.dumps(a_fix(**{name: example})).encode())


def test_the_bad_bodies_are_answered_as_shown(api: FlaskClient) -> None:
    refusals = shown(DOCUMENT["paths"]["/location"]["put"]["responses"]["400"])
    assert len(refusals) >= 8
    for example in refusals:
        answer = api.put("/location", data=example["description"])
        assert (answer.status_code, answer.get_json()) == (400, example["value"])


timestamps = st.from_regex(schema.TIMESTAMP, fullmatch=True) | st.from_regex(schema.TIMESTAMP)
numbers = st.integers(-200, 200) | st.floats(-200, 200) | st.floats(allow_nan=False)
texts = st.text(max_size=3) | st.text(st.sampled_from("a😀"), min_size=126, max_size=130)
near: dict[str, st.SearchStrategy[Any]] = {
    "timestamp": timestamps,
    **dict.fromkeys(("lat", "long", "accuracy", "speed"), numbers),
    "user_id": texts,
}
changed = st.fixed_dictionaries({}, optional={n: s | json_values for n, s in near.items()})
removed = st.sets(st.sampled_from([*near]), max_size=1)
added = st.dictionaries(st.text(max_size=4), json_values, max_size=1)


@settings(max_examples=examples(200))
@given(changed, removed, added)
def test_the_document_and_the_rules_agree_on_whatever_is_nearly_a_fix(
    changed: dict[str, Any], removed: set[str], added: dict[str, Any]
) -> None:
    fix = {**a_fix(), **changed, **added}
    body = json.dumps({name: fix[name] for name in fix.keys() - removed}).encode()
    assert is_fix(body) == expected.is_fix(body)


VALID = json.dumps(a_fix())


@pytest.mark.parametrize(
    ("difference", "body"),
    [
        ("the body is too long", VALID + " " * schema.MAX_BODY_BYTES),
        ("a key is given twice", VALID[:-1] + ', "lat": 40.7}'),
        ("no calendar has the date", json.dumps(a_fix(timestamp="2017-02-29 13:05:12"))),
        ("no calendar has the date", json.dumps(a_fix(timestamp="0000-01-01 13:05:12"))),
    ],
)
def test_what_json_schema_cannot_say_is_refused_all_the_same(difference: str, body: str) -> None:
    assert expected.by_document(body.encode())
    assert expected.differences(body.encode()) == [difference]
    assert not is_fix(body.encode())


def test_every_difference_is_said_in_words() -> None:
    about = DOCUMENT["info"]["description"]
    assert "more than 8,192" in about
    assert "a key given twice" in about
    said = SCHEMAS["Fix"]["properties"]["timestamp"]["description"]
    assert "A real calendar date" in said
    assert "1970-01-01 UTC and one day ahead" in said
