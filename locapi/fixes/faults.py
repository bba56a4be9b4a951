"""Find everything that is wrong with a document, by Cerberus, and say how to fix it."""

import math
import threading
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from cerberus import TypeDefinition, Validator, errors

from locapi.errors import InvalidFix
from locapi.fixes import hints
from locapi.fixes.display import display_name, escaped, format_fault
from locapi.fixes.rules import RULES

Faults = dict[str, list[str]]

_MAX_IN_MESSAGE = 3  # faults that the message lists itself


class _FixValidator(Validator):  # type: ignore[misc]
    """Cerberus with a type for JSON numbers and the checks that `RULES` names.

    A check is called for values of its field's `type` only.
    """

    types_mapping: ClassVar = {
        **Validator.types_mapping,
        "number": TypeDefinition("number", (float,), ()),
    }
    mandatory_validations = ()  # without the rule `nullable`, null is a value of another type

    def _check_with_finite(self, field: str, value: float) -> None:
        if not math.isfinite(value):
            self._error(field, "not finite")

    def _check_with_calendar_date(self, field: str, value: str) -> None:
        try:
            datetime.fromisoformat(value)
        except ValueError:
            self._error(field, "no such date")


class _Local(threading.local):
    """One validator a thread, because a validator keeps the document that it is at."""

    @cached_property
    def validator(self) -> _FixValidator:
        return _FixValidator(RULES, require_all=True)


_local = _Local()


def find_faults(document: Mapping[str, Any]) -> Faults:
    """Return for each field that is invalid, missing or unknown what is wrong with it."""
    _local.validator.validate(document, normalize=False)
    # Not the validator's `errors`, which are deep copies.
    invalid = _local.validator.document_error_tree.descendants
    return {
        display_name(name): [_fault(name, document, invalid[name].errors[0].code)]
        for name in sorted(invalid)
    }


def _fault(name: str, document: Mapping[str, Any], code: int) -> str:
    if name not in RULES:
        return f"unknown field ({hints.unknown(name, document)})"
    if name not in document:
        return f"required field ({hints.wanted(name)})"
    value = document[name]
    if name == "user_id" and code == errors.REGEX_MISMATCH.code:
        fault = "must not contain control characters or lone surrogates"
        return format_fault(fault, value, hints.unprintable(value))
    return format_fault(hints.wanted(name), value, hints.advice(name, value))


def invalid_fix(faults: Faults) -> InvalidFix:
    """Return the error for these faults; its message lists the first few."""
    listed = [f"{escaped(name)}: {fault}" for name, (fault, *_) in faults.items()]
    if more := listed[_MAX_IN_MESSAGE:]:
        listed[_MAX_IN_MESSAGE:] = [f"and {len(more)} more in fields"]
    return InvalidFix("; ".join(listed), faults)
