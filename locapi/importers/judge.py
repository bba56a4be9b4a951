"""Judge a row by the rules of the API."""

from locapi.errors import InvalidFix
from locapi.fixes import relaxed
from locapi.fixes.validation import Fix
from locapi.importers import reasons
from locapi.importers.fields import REQUIRED
from locapi.importers.row import Row


def judge(row: Row) -> Fix | InvalidFix:
    """Return the fix that a row is, or why it is not one."""
    fields = row.fields
    if isinstance(fields, InvalidFix):
        return fields
    try:
        return relaxed.judge_fields(fields)
    except InvalidFix as fault:
        if absent := [field for field in REQUIRED if field not in fields]:
            return reasons.missing(absent)
        return reasons.broken_rules(fault.fields, fields)
