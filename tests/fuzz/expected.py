"""What the OpenAPI document says of a body, and the few things the rules say beyond it.

An opinion independent of the product's: another JSON decoder, a JSON Schema validator.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jsonschema_rs
import orjson

from locapi import openapi, schema

DOCUMENT = openapi.document()
_fix = jsonschema_rs.Draft202012Validator(DOCUMENT["components"]["schemas"]["Fix"])

Pairs = list[tuple[str, Any]]


def by_document(body: bytes) -> bool:
    """Tell whether a body is JSON and valid by the document's schema of a fix."""
    try:
        return bool(_fix.is_valid(orjson.loads(body)))
    except orjson.JSONDecodeError:
        return False


def _no_date(_: bytes, pairs: Pairs) -> bool:
    try:
        datetime.fromisoformat(dict(pairs)["timestamp"])
    except ValueError:
        return True
    return False


# What JSON Schema cannot say of a body that is valid by it: the document says it in words.
DIFFERENCES: dict[str, Callable[[bytes, Pairs], bool]] = {
    "the body is too long": lambda body, _: len(body) > schema.MAX_BODY_BYTES,
    "a key is given twice": lambda _, pairs: len(dict(pairs)) < len(pairs),
    "no calendar has the date": _no_date,
}


def differences(body: bytes) -> list[str]:
    """Return why a body that is valid by the document is no fix all the same."""
    pairs = json.loads(body, object_pairs_hook=list, parse_int=float)
    return [name for name, holds in DIFFERENCES.items() if holds(body, pairs)]


def is_fix(body: bytes) -> bool:
    """Tell whether the document, in its schema and its words, calls a body a fix."""
    return by_document(body) and not differences(body)
