"""Bytes to one JSON object, strictly (RFC 8259), or where and why they are none.

What JSON does not have and only a field can be blamed for, NaN and a name given twice, is
handed on as `Refused`: whatever looks at the field's value then refuses it by its type.
"""

import json
from typing import Any

from locapi import hints
from locapi.errors import InvalidFix
from locapi.hints import Refused

_SEEN = 20
_SUCH = f"send a fix such as {json.dumps(hints.A_FIX)}"
_BOM = "\ufeff"


def _constant(name: str) -> Refused:
    return Refused(name, f"JSON has no {name}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    return body if len(body) == len(pairs) else _marked(pairs)


def _marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, value in pairs:
        body[name] = Refused("twice", "send it once") if name in body else value
    return body


# Made once: `json.loads` with arguments makes a new decoder each time. Whole numbers are read as
# floats too, because Python refuses an int of more than 4,300 digits.
_decoder = json.JSONDecoder(
    parse_int=float, parse_constant=_constant, object_pairs_hook=_unique_keys
)


def decode(body: bytes) -> dict[str, Any]:
    """Return the object in a body, its numbers as floats, or raise InvalidFix with what is wrong.

    A `Refused` in it is no valid value of anything.
    """
    try:
        document = _decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidFix(_not_utf8(error)) from error
    except json.JSONDecodeError as error:
        raise InvalidFix(_not_json(error.doc, error)) from error
    except RecursionError as error:
        raise InvalidFix("the body is nested too deep (a fix is one flat object)") from error
    if not isinstance(document, dict):
        raise InvalidFix(hints.told("the body is not a JSON object", document, _single(document)))
    return document


def _single(document: Any) -> str:
    if isinstance(document, str) and document.lstrip().startswith("{"):
        return "is the JSON encoded twice?"
    return "send one fix a request, without brackets" if isinstance(document, list) else _SUCH


def _not_utf8(error: UnicodeDecodeError) -> str:
    place = f"byte {error.start + 1} is 0x{error.object[error.start]:02x}"
    return f"the body is not UTF-8 ({place}; encode the JSON as UTF-8)"


def _not_json(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return f"the body is not JSON (it is empty; {_SUCH})"
    seen = hints.quoted(text[error.pos :], _SEEN) if error.pos < len(text) else "its end"
    why = error.msg[0].lower() + error.msg[1:].removesuffix(" at").removesuffix(" starting")
    place = f"line {error.lineno}, column {error.colno}: {why}, found {seen}"
    advice = _advice(text, error)
    return f"the body is not JSON ({place}{advice and '; '}{advice})"


def _advice(text: str, error: json.JSONDecodeError) -> str:
    before, after = text[: error.pos].rstrip(), text[error.pos :]
    if not after or error.msg.startswith("Unterminated"):
        return "was it cut off?"
    if error.msg == "Extra data":
        return "send one fix a request"
    if after.startswith(_BOM):
        return "leave out the byte order mark"
    if error.msg.startswith("Invalid control"):
        return "escape it with a backslash"
    if after.startswith("'"):
        return "JSON takes double quotes"
    if (after[0] in ",}]" and before.endswith(",")) or "trailing comma" in error.msg:
        return "there is a comma too many"
    if before[-1:] == "0" and after[0].isdigit():
        return "a number has no leading zero"
    if not before and "=" in after:
        return f"send JSON, not a form: {_SUCH}"
    return ""
