"""What every reader yields, and how it says that it cannot go on."""

from typing import Any, NamedTuple

from locapi.errors import InvalidFix


class Row(NamedTuple):
    """One row of a file: where it stands, as it stands there, and the fix that it may be."""

    place: str
    values: Any
    fix: dict[str, Any] | InvalidFix  # by the API's names and types; or why there is none


class Broken(Exception):
    """From here on a file cannot be read; the text says why."""
