"""Turn a row's values into the fields of a fix: by name, unit, time zone and default."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from functools import cached_property, partial
from typing import Any

from locapi.fixes.averages import OPTIONAL
from locapi.fixes.rules import RULES
from locapi.fixes.validation import MAX_DOUBLE
from locapi.importers.instants import read_time
from locapi.importers.row import Row

FIELDS = tuple(RULES)
REQUIRED = tuple(field for field in FIELDS if field not in OPTIONAL)
SPEED_UNITS = {"m/s": 1.0, "km/h": 1 / 3.6, "mph": 0.44704, "knots": 1852 / 3600}
_UNKNOWN = {"", "n/a", "nan", "null", r"\n"}  # in lower case, what stands for a missing value
_UNKNOWN_NUMBER = {*_UNKNOWN, "na", "#n/a", "none", "unknown", "undefined", "-"}
_MAX_DIGITS = 100
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class FieldMapping:
    """How the values of a file become the fields of a fix.

    `names` maps fields to the file's own names; `defaults` has the values of missing fields.
    Speeds are in `speed_unit`. Times without a zone are in `timezone`, or local times at their
    position.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str | float] = field(default_factory=dict)
    timezone: tzinfo | None = None
    speed_unit: str | None = None
    has_decimal_commas: bool = False

    def name(self, of_field: str) -> str:
        """Return the file's name of a field."""
        return self.names.get(of_field, of_field)

    @cached_property
    def used_names(self) -> frozenset[str]:
        """Return the file's names of all fields."""
        return frozenset(map(self.name, FIELDS))

    @cached_property
    def _converters(self) -> list[tuple[str, str, Callable[[Any], Any]]]:
        number = partial(read_number, has_decimal_commas=self.has_decimal_commas)
        convert = {"timestamp": self._time, "user_id": _user_id, "speed": self._speed}
        return [(each, self.name(each), convert.get(each, number)) for each in FIELDS]

    def row(
        self, place: str, values: Mapping[str, Any], known: Mapping[str, str] = _NOTHING
    ) -> Row:
        """Return a row with these values.

        `known` maps names in the file to fields; such a value is found by both names.
        """
        fields = {field: values[name] for name, field in known.items() if name in values}
        return Row(place, values, self.pick({**values, **fields} if fields else values))

    def pick(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields among the values, without those that are missing.

        A value that cannot be converted is left as it is, for the rules to reject.
        """
        fields = {}
        for each, name, convert in self._converters:
            value = values.get(name)
            if value is not None:
                value = convert(value)
            if value is None:
                value = self.defaults.get(each)
            if value is not None:
                fields[each] = value
        return fields

    def decimal_commas(self) -> "FieldMapping":
        """Return the same mapping for a file that writes 1,5 for one and a half."""
        return replace(self, has_decimal_commas=True)

    def _time(self, value: Any) -> Any:
        return None if _is_unknown(value) else read_time(value, self.timezone)

    def _speed(self, value: Any) -> Any:
        value = read_number(value, has_decimal_commas=self.has_decimal_commas)
        if not isinstance(value, float):
            return value
        # Below 0 is how phones mark a speed that they could not measure.
        return None if value < 0 else value * SPEED_UNITS[self.speed_unit or "m/s"]


def read_number(value: Any, *, has_decimal_commas: bool = False) -> Any:
    """Return a float, None for a missing value, or a value that is not a number as it is."""
    if isinstance(value, str):
        return _read_text(value, has_decimal_commas)
    if type(value) is int:
        return float(value) if abs(value) < 1e300 else value
    return None if isinstance(value, float) and math.isnan(value) else value


def _read_text(text: str, has_decimal_commas: bool) -> str | float | None:
    """Return the number in a text, None if it stands for a missing value, or the text."""
    if len(text) <= _MAX_DIGITS and text.isascii() and "_" not in text:
        try:
            number = float(text.replace(",", ".") if has_decimal_commas else text)
        except ValueError:
            return None if text.strip().lower() in _UNKNOWN_NUMBER else text
        if -MAX_DOUBLE <= number <= MAX_DOUBLE:
            return number
        return None if math.isnan(number) else text
    return text


def _user_id(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else value
    if type(value) is int:
        return str(value)
    return None if _is_unknown(value) else value


def _is_unknown(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() in _UNKNOWN
