"""What the readers of all formats yield and raise."""

from typing import Any, NamedTuple

from locapi.errors import InvalidFix


class Row(NamedTuple):
    """A row of a file: its place, what stands there, and its fields by the API's names."""

    place: str
    content: Any
    fields: dict[str, Any] | InvalidFix  # or why it has none


class Skipped(NamedTuple):
    """Something in a file that is not a fix and is passed over, such as a visit."""

    kind: str


class BrokenFile(Exception):
    """The file cannot be read further; the text says why."""


class BadRow(Exception):
    """A row does not have the form that its format requires; the text says what is wrong."""


def as_object(value: Any, name: str = "it") -> dict[str, Any]:
    """Return a value that must be a JSON object. Raises BadRow."""
    if not isinstance(value, dict):
        raise BadRow(f"{name} is not a JSON object")
    return value


def as_list(value: Any, name: str) -> list[Any]:
    """Return a value that must be a JSON array. Raises BadRow."""
    if not isinstance(value, list):
        raise BadRow(f"{name} is not an array")
    return value
