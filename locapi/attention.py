"""What needs attention, as a pure judgement on what one look found."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from locapi import quantities
from locapi.status import MAX_MISSING, Status

FREE_SHARE = 0.1  # of the volume; with less free the disk is nearly full


class Reason(NamedTuple):
    """Why something needs attention: a word for a program, a sentence for a person."""

    code: str
    message: str


def judge(found: Status, max_lag: timedelta) -> list[Reason]:
    """Return what needs attention, the gravest first; nothing if all is well."""
    if found.fault:
        return [Reason("database_refuses" if found.refused else "database_away", found.fault)]
    told = ((code, rule(found, max_lag)) for code, rule in _RULES.items())
    return [Reason(code, message) for code, message in told if message]


def _index_missing(found: Status, _: timedelta) -> str | None:
    if not found.missing_indexes:
        return None
    lacking = "; ".join(found.missing_indexes)
    return f"indexes are missing ({lacking}), so nothing else was read; `locctl rollup` makes them"


def _disk_nearly_full(found: Status, _: timedelta) -> str | None:
    disk = found.disk
    if disk is None or disk.free_bytes is None or disk.volume_bytes is None:
        return None
    if disk.free_bytes >= FREE_SHARE * disk.volume_bytes:
        return None
    return (
        f"the database's disk is nearly full: {quantities.size(disk.free_bytes)} of "
        f"{quantities.size(disk.volume_bytes)} are free; free space, or prune sooner"
    )


def _never_rolled_up(found: Status, max_lag: timedelta) -> str | None:
    if found.rolled_up_at or not _lags(found, max_lag):
        return None
    return (
        f"fixes have waited for {quantities.span(found.rollup_lag_s or 0)}, and no roll-up has "
        "ever come to its end; start `locctl rollup --watch 60`"
    )


def _rollup_lags(found: Status, max_lag: timedelta) -> str | None:
    if not found.rolled_up_at or not _lags(found, max_lag):
        return None
    return (
        f"the roll-up lags {quantities.span(found.rollup_lag_s or 0)}: see that "
        "`locctl rollup --watch 60` runs, and its log"
    )


def _lags(found: Status, max_lag: timedelta) -> bool:
    return (found.rollup_lag_s or 0) > max_lag.total_seconds()


def _minutes_miss_fixes(found: Status, _: timedelta) -> str | None:
    missing = found.minutes_missing_fixes
    if not missing:
        return None
    many = "or more " if missing == MAX_MISSING else ""
    return (
        f"{missing:,} {many}minutes miss fixes; run `locctl rollup`, and `locctl verify` "
        "if it does not mend them"
    )


_RULES: dict[str, Callable[[Status, timedelta], str | None]] = {
    "index_missing": _index_missing,
    "disk_nearly_full": _disk_nearly_full,
    "never_rolled_up": _never_rolled_up,
    "rollup_lags": _rollup_lags,
    "minutes_miss_fixes": _minutes_miss_fixes,
}
