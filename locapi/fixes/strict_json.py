"""Decode a JSON object strictly (RFC 8259), or say where and why it is malformed.

NaN, Infinity and a repeated key are faults of one field, not of the whole body. They are decoded
to `Refused`, whose type no rule of a field accepts.
"""

import json
from typing import Any

from locapi.errors import InvalidFix
from locapi.fixes.display import Refused, format_fault, quoted
from locapi.fixes.hints import A_FIX

MAX_DEPTH = 100  # of arrays and objects within each other; Python's own limit varies
_MAX_FOUND = 20  # characters shown of the place where decoding failed
_SUCH = f"send a fix such as {json.dumps(A_FIX)}"
_BOM = "\ufeff"


def _constant(name: str) -> Refused:
    return Refused(name, f"JSON has no {name}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    return body if len(body) == len(pairs) else _refuse_repeated(pairs)


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, value in pairs:
        body[name] = Refused("twice", "send it once") if name in body else value
    return body


# Made once, because `json.loads` with arguments makes a new decoder each time. Whole numbers are
# decoded to floats too, because Python refuses an int of more than 4,300 digits.
_decoder = json.JSONDecoder(
    parse_int=float, parse_constant=_constant, object_pairs_hook=_unique_keys
)


def decode(body: bytes) -> dict[str, Any]:
    """Return the object in a body, its numbers as floats, or raise InvalidFix."""
    document = decode_value(body)
    if not isinstance(document, dict):
        raise not_an_object(document)
    return document


def decode_value(body: bytes) -> Any:
    """Return the JSON value in a body, its numbers as floats, or raise InvalidFix."""
    try:
        value = _decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidFix(_not_utf8(error)) from error
    except json.JSONDecodeError as error:
        raise InvalidFix(_not_json(error.doc, error)) from error
    except RecursionError as error:
        raise _too_deep() from error
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_too_deep(value):
        raise _too_deep()
    return value


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        if not containers:
            return False
        level = [
            inner
            for each in containers
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return True


def _too_deep() -> InvalidFix:
    return InvalidFix("the body is nested too deeply (a fix is one flat object)")


def not_an_object(document: Any, what: str = "the body") -> InvalidFix:
    """Return the error for a JSON value that should be a fix."""
    return InvalidFix(format_fault(f"{what} is not a JSON object", document, _not_object(document)))


def _not_object(document: Any) -> str:
    if isinstance(document, str) and document.lstrip().startswith("{"):
        return "is the JSON encoded twice?"
    return "send one fix per request, without brackets" if isinstance(document, list) else _SUCH


def _not_utf8(error: UnicodeDecodeError) -> str:
    place = f"byte {error.start + 1} is 0x{error.object[error.start]:02x}"
    return f"the body is not UTF-8 ({place}; encode the JSON as UTF-8)"


def _not_json(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return f"the body is not JSON (it is empty; {_SUCH})"
    found = quoted(text[error.pos :], _MAX_FOUND) if error.pos < len(text) else "its end"
    why = error.msg[0].lower() + error.msg[1:].removesuffix(" at").removesuffix(" starting")
    place = f"line {error.lineno}, column {error.colno}: {why}, found {found}"
    hint = _hint(text, error)
    return f"the body is not JSON ({place}{hint and '; '}{hint})"


def _hint(text: str, error: json.JSONDecodeError) -> str:
    before, after = text[: error.pos].rstrip(), text[error.pos :]
    if not after or error.msg.startswith("Unterminated"):
        return "was it cut off?"
    if error.msg == "Extra data":
        return "send one fix per request"
    if after.startswith(_BOM):
        return "remove the byte order mark"
    if error.msg.startswith("Invalid control"):
        return "escape it with a backslash"
    if after.startswith("'"):
        return "use double quotes"
    if (after[0] in ",}]" and before.endswith(",")) or "trailing comma" in error.msg:
        return "remove the extra comma"
    if before[-1:] == "0" and after[0].isdigit():
        return "remove the leading zero"
    if not before and "=" in after:
        return f"send JSON, not a form: {_SUCH}"
    return ""
