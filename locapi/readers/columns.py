"""Which of a file's values are a fix's fields, and what stands in for those that it lacks."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from locapi.schema import RULES

FIELDS = tuple(RULES)
NUMBERS = ("lat", "long", "accuracy", "speed")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_EMPTY = (None, "")


@dataclasses.dataclass(frozen=True)
class Columns:
    """`names` has the file's names of fields that it calls otherwise."""

    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, str | float] = dataclasses.field(default_factory=dict)

    def name(self, field: str) -> str:
        """Return the name that a field bears in the file."""
        return self.names.get(field, field)

    def pick(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a fix; what is empty or no field is left out."""
        found = ((field, values.get(self.name(field))) for field in FIELDS)
        fix = {field: value for field, value in found if value not in _EMPTY}
        for field in NUMBERS:
            if field in fix:
                fix[field] = _as_float(fix[field])
        return self.complete(fix)

    def pick_text(self, values: Mapping[str, str]) -> dict[str, Any]:
        """Return the fields of a fix where all that the file has is text."""
        fix = self.pick(values)
        for field in NUMBERS:
            text = fix.get(field)
            if isinstance(text, str) and _NUMBER.fullmatch(text):
                fix[field] = float(text)
        return fix

    def complete(self, fix: dict[str, Any]) -> dict[str, Any]:
        """Fill in the defaults for what is lacking or empty."""
        for field, default in self.defaults.items():
            if fix.get(field) in _EMPTY:
                fix[field] = default
        return fix


def _as_float(value: Any) -> Any:
    """Return what the API makes of a whole number; of what is none, it says what is wrong."""
    try:
        return float(value) if type(value) is int else value
    except OverflowError:
        return value
