"""Find the problems that the status of a database shows."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from locapi.monitoring.status import MAX_MISSING, Status
from locapi.text import format_duration, format_size, quantity

MIN_FREE = 0.1  # of the volume


class Problem(NamedTuple):
    """Something that needs attention: a stable code for programs, a sentence for people."""

    code: str
    message: str


def find_problems(status: Status, max_lag: timedelta) -> list[Problem]:
    """Return the problems, the most serious first."""
    if status.error:
        code = "database_refuses" if status.refused else "database_away"
        return [Problem(code, status.error)]
    messages = ((code, check(status, max_lag)) for code, check in _CHECKS.items())
    return [Problem(code, message) for code, message in messages if message]


def _index_missing(status: Status, _: timedelta) -> str | None:
    if not status.missing_indexes:
        return None
    return (
        f"indexes are missing ({'; '.join(status.missing_indexes)}), so nothing else was read. "
        "Run `locctl rollup` to create them."
    )


def _disk_nearly_full(status: Status, _: timedelta) -> str | None:
    disk = status.disk
    if disk is None or disk.free_bytes is None or disk.volume_bytes is None:
        return None
    if disk.free_bytes >= MIN_FREE * disk.volume_bytes:
        return None
    return (
        f"the database's disk is nearly full: {format_size(disk.free_bytes)} of "
        f"{format_size(disk.volume_bytes)} free. Free some space, or prune earlier."
    )


def _never_rolled_up(status: Status, max_lag: timedelta) -> str | None:
    if status.rolled_up_at or not _lags(status, max_lag):
        return None
    return (
        f"fixes have been waiting for {format_duration(status.rollup_lag_s or 0)}, and no roll-up "
        "has ever finished. Start `locctl rollup --watch 60`."
    )


def _rollup_lags(status: Status, max_lag: timedelta) -> str | None:
    if not status.rolled_up_at or not _lags(status, max_lag):
        return None
    return (
        f"the roll-up is {format_duration(status.rollup_lag_s or 0)} behind. Check that "
        "`locctl rollup --watch 60` is running, and its log."
    )


def _lags(status: Status, max_lag: timedelta) -> bool:
    return (status.rollup_lag_s or 0) > max_lag.total_seconds()


def _minutes_miss_fixes(status: Status, _: timedelta) -> str | None:
    missing = status.minutes_missing_fixes
    if not missing:
        return None
    minutes = (
        f"{missing:,} or more minutes" if missing == MAX_MISSING else quantity(missing, "minute")
    )
    return (
        f"{minutes} with missing fixes. Run `locctl rollup`, and `locctl verify` if that does "
        "not help."
    )


def _minutes_quarantined(status: Status, _: timedelta) -> str | None:
    if not status.quarantined_minutes:
        return None
    return (
        f"{quantity(status.quarantined_minutes, 'minute')} in quarantine, which the roll-up leaves "
        f"out: {'; '.join(status.quarantined)}. The raw fixes are kept. Erase the user with "
        "`locctl erase`, or repair the documents and run `locctl verify --repair`."
    )


_CHECKS: dict[str, Callable[[Status, timedelta], str | None]] = {
    "index_missing": _index_missing,
    "disk_nearly_full": _disk_nearly_full,
    "never_rolled_up": _never_rolled_up,
    "rollup_lags": _rollup_lags,
    "minutes_miss_fixes": _minutes_miss_fixes,
    "minutes_quarantined": _minutes_quarantined,
}
CODES = ("database_away", "database_refuses", *_CHECKS)
