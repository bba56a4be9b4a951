"""Judge bodies by the OpenAPI document, independently of the product.

It comes from another JSON decoder and a JSON Schema validator.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jsonschema_rs
import orjson
import yaml

from locapi.fixes import validation
from tests.conftest import ROOT

DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "locapi/api/openapi.yaml").read_text())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]

Pairs = list[tuple[str, Any]]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference refers to, or the node itself."""
    if "$ref" not in node:
        return node
    found = DOCUMENT
    for name in node["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of a schema."""
    schema = {**resolved(schema), "components": DOCUMENT["components"]}  # for references in it
    return jsonschema_rs.Draft202012Validator(schema)


_fix = validator(SCHEMAS["Fix"])


def by_schema(body: bytes) -> bool:
    """Return whether a body is JSON and valid by the schema of a fix."""
    try:
        return bool(_fix.is_valid(orjson.loads(body)))
    except orjson.JSONDecodeError:
        return False


def _is_no_date(_: bytes, pairs: Pairs) -> bool:
    try:
        datetime.fromisoformat(dict(pairs)["timestamp"])
    except ValueError:
        return True
    return False


# What JSON Schema cannot say of a body that is valid by it; the document says it in words.
IN_WORDS: dict[str, Callable[[bytes, Pairs], bool]] = {
    "more than 8,192 bytes": lambda body, _: len(body) > validation.MAX_BODY_BYTES,
    "repeats a key": lambda _, pairs: len(dict(pairs)) < len(pairs),
    "A real calendar date": _is_no_date,
}


def violations(body: bytes) -> list[str]:
    """Return which of the document's words a body violates that is valid by the schema."""
    try:
        pairs = json.loads(body, object_pairs_hook=list, parse_int=float)
    except RecursionError:  # in a field that a later copy of its key hides from the schema
        return ["repeats a key"]
    return [words for words, violated in IN_WORDS.items() if violated(body, pairs)]


def is_fix(body: bytes) -> bool:
    """Return whether a body is a fix by the document's schema and words."""
    return by_schema(body) and not violations(body)
