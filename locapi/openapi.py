"""The OpenAPI 3.1 document of the API, made from the rules by which a fix is judged.

Where JSON Schema cannot say a rule, the description does. What JSON Schema 2020-12
says of a fix and what `schema.parse` says are compared by tests, difference by difference.
"""

import json
from collections.abc import Callable
from importlib import metadata
from typing import Any

from locapi import examples, hints, schema
from locapi.examples import Example

Node = dict[str, Any]

_MEANING = {
    "timestamp": "The device's local wall time, without a zone; digits beyond milliseconds are cut."
    " A real calendar date from the year 1 on. The zone comes from the position. The instant it"
    " means lies between 1970-01-01 UTC and one day ahead of the server's clock.",
    "lat": "Degrees north, within the range of a double.",
    "long": "Degrees east, within the range of a double.",
    "accuracy": "Metres, within the range of a double.",
    "speed": "Metres a second, within the range of a double.",
    "user_id": "Whose fix it is; counted in Unicode code points. No control character and no"
    " lone surrogate.",
}
_ABOUT = f"""Takes one location fix at a time and keeps the first of each (user_id, timestamp).

The request's Content-Type is not held against it. A body of more than {schema.MAX_BODY_BYTES:,}
bytes, a key given twice, NaN, Infinity, bad UTF-8 and a byte order mark are refused with 400.
Other paths and methods are answered 404 and 405, with the same form of error as below.
A request that is not well-formed HTTP is answered 400 with the code `bad_request`.
"""


def _number(bounds: Node) -> Node:
    # The end of a double's range is said by its format.
    most = {} if bounds["max"] == schema.LARGEST else {"maximum": bounds["max"]}
    return {
        "type": "number",
        "format": "double",
        "minimum": bounds["min"],
        **most,
        "examples": [bounds["example"]],
    }


def _text(lengths: Node) -> Node:
    return {
        "type": "string",
        "minLength": lengths["min"],
        "maxLength": lengths["max"],
        "pattern": f"^[^{schema.CONTROL}]*$",
        "examples": [hints.A_FIX["user_id"]],
    }


def _local_time(_: bool) -> Node:
    examples = ["2017-01-01 13:05:12", "2017-07-30 00:18:08.919"]
    return {"type": "string", "pattern": f"^{schema.TIMESTAMP}$", "examples": examples}


_RULES: dict[str, Callable[[Any], Node]] = {
    "number": _number,
    "text": _text,
    "local_time": _local_time,
}


def _field(name: str, rules: Node) -> Node:
    ((rule, argument),) = rules.items()
    return {**_RULES[rule](argument), "description": _MEANING[name]}


def _object(properties: Node, **more: Any) -> Node:
    """Return the schema of an object that has exactly these, all required."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
        **more,
    }


def _ref(kind: str, name: str) -> Node:
    return {"$ref": f"#/components/{kind}/{name}"}


def _json(body: Node, shown: dict[str, Example]) -> Node:
    named = {name: _example(each) for name, each in shown.items()}
    return {"application/json": {"schema": body} | ({"examples": named} if named else {})}


def _example(each: Example) -> Node:
    sent = {"description": each.sent} if each.sent else {}
    return {"summary": each.said, **sent, "value": each.value}


def _answer(
    description: str, body: Node, *headers: str, shown: dict[str, Example] | None = None
) -> Node:
    return {
        "description": description,
        "headers": {name: _ref("headers", name) for name in ("X-Request-ID", *headers)},
        "content": _json(body, shown or {}),
    }


def _page(description: str, *types: str) -> Node:
    return {
        "description": description,
        "headers": {"X-Request-ID": _ref("headers", "X-Request-ID")},
        "content": {each: {"schema": {"type": "string"}} for each in types},
    }


def _failure(description: str, *headers: str, shown: dict[str, Example]) -> Node:
    return _answer(description, _ref("schemas", "Error"), *headers, shown=shown)


_SCHEMAS = {
    "Fix": _object(
        {name: _field(name, rules) for name, rules in schema.RULES.items()},
        examples=[hints.A_FIX],
    ),
    "Receipt": _object(
        {
            "status": {
                "enum": ["stored", "duplicate"],
                "description": "Whether this copy of the fix is the first.",
            },
            "fix_time": {
                "type": "string",
                "format": "date-time",
                "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{3})?Z$",
                "description": "UTC; of a duplicate, that of the copy that is kept.",
            },
            "tz": {"type": "string", "minLength": 1, "description": "The zone's IANA name."},
        }
    ),
    "Error": _object(
        {
            "error": _object(
                {
                    "code": {"type": "string", "pattern": "^[a-z_]+$"},
                    "message": {"type": "string", "minLength": 1},
                }
            )
        }
    ),
    "InvalidFix": _object(
        {
            "error": _object(
                {
                    "code": {"const": "invalid_fix"},
                    "message": {"type": "string", "minLength": 1},
                    "fields": {
                        "type": "object",
                        "description": "What is wrong with which field; empty where the body"
                        " as a whole cannot be read.",
                        "additionalProperties": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string"},
                        },
                    },
                }
            )
        }
    ),
    "Health": _object({"status": {"const": "ok"}}),
}

_HEADERS = {
    "X-Request-ID": {
        "description": "Names the request in the server's log.",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "Retry-After": {
        "description": "Seconds after which to try again, where waiting helps.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "The scheme that is asked for.",
        "schema": {"type": "string", "minLength": 1},
    },
}

_ON_AUTH = "Only where the server asks for tokens (`LOCAPI_AUTH=token`): "
_PUT_LOCATION = {
    "operationId": "putLocation",
    "summary": "Take one fix",
    "security": [{}, {"bearer": []}],
    "requestBody": {"required": True, "content": _json(_ref("schemas", "Fix"), examples.FIXES)},
    "responses": {
        "200": _answer(
            "On disk, now or since its first copy: forget it.",
            _ref("schemas", "Receipt"),
            shown=examples.RECEIPTS,
        ),
        "400": _answer(
            "Not a fix, and never will be: forget it. What is wrong is told for each field.",
            _ref("schemas", "InvalidFix"),
            shown=examples.REFUSALS,
        ),
        "401": _failure(
            f"{_ON_AUTH}there is none in the request, or one that is not valid. Keep the fix.",
            "WWW-Authenticate",
            shown=examples.UNAUTHORIZED,
        ),
        "403": _failure(
            f"{_ON_AUTH}this one is not for that user. Forget the fix.",
            shown=examples.FORBIDDEN,
        ),
        "500": _failure(
            "Not stored, or not known to be: send it again later, waiting longer each time.",
            "Retry-After",
            shown=examples.AWAY | examples.OVERLOADED | examples.INTERNAL,
        ),
    },
}
_GET_HEALTH = {
    "operationId": "getHealth",
    "summary": "Say whether the database answers",
    "responses": {
        "200": _answer("It does.", _ref("schemas", "Health"), shown=examples.HEALTHY),
        "503": _failure("It does not.", "Retry-After", shown=examples.AWAY),
    },
}
_GET_METRICS = {
    "operationId": "getMetrics",
    "summary": "Measurements, for Prometheus",
    "responses": {
        "200": _page(
            "The text format that Prometheus reads.", "text/plain", "application/openmetrics-text"
        ),
        "500": _failure("A fault on this side.", shown=examples.INTERNAL),
    },
}
_GET_OPENAPI = {
    "operationId": "getOpenapi",
    "summary": "All of this as an OpenAPI document",
    "responses": {"200": _answer("OpenAPI 3.1.", {"type": "object", "required": ["openapi"]})},
}
_GET_DOCS = {
    "operationId": "getDocs",
    "summary": "All of this as a page to read",
    "responses": {"200": _page("HTML, which fetches nothing else.", "text/html")},
}


def document() -> Node:
    """Return the OpenAPI 3.1 document, as JSON has it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "locapi",
            "version": metadata.version("locapi"),
            "description": _ABOUT,
        },
        "paths": {
            "/location": {"put": _PUT_LOCATION},
            "/health": {"get": _GET_HEALTH},
            "/metrics": {"get": _GET_METRICS},
            "/openapi.json": {"get": _GET_OPENAPI},
            "/docs": {"get": _GET_DOCS},
        },
        "components": {
            "schemas": _SCHEMAS,
            "headers": _HEADERS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def text() -> str:
    """Return the document as JSON text."""
    return json.dumps(document(), ensure_ascii=False)
