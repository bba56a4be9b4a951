"""What needs attention, and why; all else is well."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from locapi.attention import Reason, judge
from locapi.status import Disk, Status

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LAG = timedelta(minutes=10)
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
    disk=Disk(12_300_000, 3_400_000, 10_000_000_000, 100_000_000_000),
    pruned_at=AT - timedelta(seconds=59),
    pruned_fixes=312,
)


def disk(free: int | None, volume: int | None) -> Status:
    return replace(WELL, disk=Disk(1, 1, free, volume))


@pytest.mark.parametrize(
    "found",
    [
        WELL,
        disk(None, None),
        replace(WELL, disk=None),
        replace(WELL, rolled_up_at=None),
        replace(WELL, users=None, users_complete=None, pruned_at=None, pruned_fixes=None),
        Status(AT, "locapi", "mongodb://db", raw_fixes=0, minutes=0, rollup_lag_s=0.0),
    ],
)
def test_what_is_well_or_not_told_needs_no_attention(found: Status) -> None:
    assert judge(found, LAG) == []


REASONS = [
    (
        replace(WELL, fault="the database does not answer; see that it runs"),
        Reason("database_away", "the database does not answer; see that it runs"),
    ),
    (
        replace(WELL, fault="the database does not grant the right", refused=True),
        Reason("database_refuses", "the database does not grant the right"),
    ),
    (
        replace(WELL, missing_indexes=("fixes: received_at", "fixes: user_id, fix_time")),
        Reason(
            "index_missing",
            "indexes are missing (fixes: received_at; fixes: user_id, fix_time), so nothing else "
            "was read; `locctl rollup` makes them",
        ),
    ),
    (
        disk(9_999_999_999, 100_000_000_000),
        Reason(
            "disk_nearly_full",
            "the database's disk is nearly full: 10.0 GB of 100.0 GB are free; "
            "free space, or prune sooner",
        ),
    ),
    (
        replace(WELL, rollup_lag_s=601.0, rolled_up_at=None),
        Reason(
            "never_rolled_up",
            "fixes have waited for 10 min, and no roll-up has ever come to its end; "
            "start `locctl rollup --watch 60`",
        ),
    ),
    (
        replace(WELL, rollup_lag_s=7_200.0),
        Reason(
            "rollup_lags",
            "the roll-up lags 2 h: see that `locctl rollup --watch 60` runs, and its log",
        ),
    ),
    (
        replace(WELL, minutes_missing_fixes=3),
        Reason(
            "minutes_miss_fixes",
            "3 minutes miss fixes; run `locctl rollup`, and `locctl verify` if it does not mend "
            "them",
        ),
    ),
    (
        replace(WELL, minutes_missing_fixes=1_000),
        Reason(
            "minutes_miss_fixes",
            "1,000 or more minutes miss fixes; run `locctl rollup`, and `locctl verify` if it "
            "does not mend them",
        ),
    ),
]


@pytest.mark.parametrize(("found", "reason"), REASONS, ids=[each.code for _, each in REASONS])
def test_each_reason_is_told_alone(found: Status, reason: Reason) -> None:
    assert judge(found, LAG) == [reason]


def test_the_gravest_is_told_first() -> None:
    bad = replace(disk(0, 100), rollup_lag_s=601.0, minutes_missing_fixes=1)
    codes = [reason.code for reason in judge(bad, LAG)]
    assert codes == ["disk_nearly_full", "rollup_lags", "minutes_miss_fixes"]


def test_the_lag_that_is_borne_can_be_chosen() -> None:
    assert judge(replace(WELL, rollup_lag_s=3_600.0), timedelta(hours=1)) == []
    assert len(judge(WELL, timedelta(minutes=5))) == 1
