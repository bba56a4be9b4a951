"""Which of a file's values are a fix's fields, and what stands in for those that it lacks."""

import dataclasses
import re
from collections.abc import Mapping
from functools import cached_property
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

    @cached_property
    def _sources(self) -> list[tuple[str, str]]:
        return [(field, self.name(field)) for field in FIELDS]

    def pick(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a fix; what is empty or no field is left out."""
        fix = {}
        for field, name in self._sources:
            value = values.get(name)
            if value is not None and value != "":
                fix[field] = _as_float(value) if type(value) is int else value
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


def _as_float(value: int) -> float | int:
    """Return what the API makes of a whole number; what is too large for that breaks the rules."""
    try:
        return float(value)
    except OverflowError:
        return value
