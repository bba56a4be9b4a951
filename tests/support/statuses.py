"""Statuses of a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from locapi.monitoring.status import Disk, Status

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LAG = timedelta(minutes=10)
DISK = Disk(12_300_000, 3_400_000, 76_800_000_000, 270_600_000_000)
WELL = Status(
    at=AT,
    database="locapi",
    where="mongodb://db",
    mongodb="8.0.4",
    raw_fixes=7_620,
    minutes=1_409,
    users=8,
    users_complete=True,
    newest_received_at=AT - timedelta(seconds=2),
    oldest_received_at=AT - timedelta(days=7),
    rollup_lag_s=600.0,
    rolled_up_at=AT - timedelta(seconds=610),
    rollup_duration_s=0.25,
    minutes_missing_fixes=0,
    disk=DISK,
    pruned_at=AT - timedelta(seconds=59),
    pruned_fixes=312,
)


def disk(free: int | None, volume: int | None) -> Status:
    """Return a good status with these bytes free on its disk."""
    return replace(WELL, disk=Disk(1, 1, free, volume))
