"""Format what a client sent for messages to it.

What is shown is short, on one line, in ASCII, and without characters that are special in HTML.
"""

import json
import math
from typing import Any, NamedTuple

MAX_SHOWN = 40  # characters of a value

_HTML = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&"})


class Refused(NamedTuple):
    """Stands in for a value that JSON does not have, or for a field that was sent twice."""

    shown: str
    hint: str


def format_fault(fault: str, value: Any, hint: str = "") -> str:
    """Return a fault, the value that was sent, and what to do; the fault comes first, unchanged."""
    return f"{fault} (sent: {shown(value)}{hint and '; '}{hint})"


def shown(value: Any) -> str:
    """Return a value of a JSON document as a message may repeat it."""
    if isinstance(value, Refused):
        return value.shown
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0") if math.isfinite(value) else "a number too large"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return "an object" if isinstance(value, dict) else json.dumps(value)


def quoted(text: str, most: int = MAX_SHOWN) -> str:
    """Return the beginning of a text as a JSON string of about `most` characters."""
    return f'"{escaped(text, most)}"'


def escaped(text: str, most: int = MAX_SHOWN) -> str:
    """Return the beginning of a text, escaped as in JSON."""
    kept = head(text, most)
    return _escape(kept) + "..." * (kept != text)


def head(text: str, most: int = MAX_SHOWN) -> str:
    """Return as many of a text's first characters as fit into `most` when escaped."""
    kept = text[:most]
    while len(_escape(kept)) > most:
        kept = kept[:-1]
    return kept


def _escape(text: str) -> str:
    return json.dumps(text)[1:-1].translate(_HTML)


def display_name(name: str) -> str:
    """Return a field's name as a response can contain it: short, and possible to encode."""
    short = head(name)
    short += "…" * (short != name)
    return short.encode("utf-8", "backslashreplace").decode("utf-8")
