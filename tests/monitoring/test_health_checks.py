"""Each problem is found from the status alone."""

from dataclasses import replace
from datetime import timedelta

import pytest

from locapi.monitoring.health_checks import CODES, Problem, find_problems
from locapi.monitoring.status import Status
from tests.support.statuses import AT, LAG, WELL, disk


@pytest.mark.parametrize(
    "status",
    [
        WELL,
        disk(None, None),
        replace(WELL, disk=None),
        replace(WELL, rolled_up_at=None),
        replace(WELL, users=None, users_complete=None, pruned_at=None, pruned_fixes=None),
        Status(AT, "locapi", "mongodb://db", raw_fixes=0, minutes=0, rollup_lag_s=0.0),
    ],
)
def test_good_or_unknown_values_are_no_problem(status: Status) -> None:
    assert find_problems(status, LAG) == []


PROBLEMS = [
    (replace(WELL, error="no answer"), "database_away", "no answer"),
    (replace(WELL, error="no right", refused=True), "database_refuses", "no right"),
    (
        replace(WELL, missing_indexes=("fixes: received_at", "fixes: user_id, fix_time")),
        "index_missing",
        "indexes are missing (fixes: received_at; fixes: user_id, fix_time), so nothing else was "
        "read. Run `locctl rollup` to create them.",
    ),
    (
        disk(9_999_999_999, 100_000_000_000),
        "disk_nearly_full",
        "the database's disk is nearly full: 10.0 GB of 100.0 GB free. "
        "Free some space, or prune earlier.",
    ),
    (
        replace(WELL, rollup_lag_s=601.0, rolled_up_at=None),
        "never_rolled_up",
        "fixes have been waiting for 10 min, and no roll-up has ever finished. "
        "Start `locctl rollup --watch 60`.",
    ),
    (
        replace(WELL, rollup_lag_s=7_200.0),
        "rollup_lags",
        "the roll-up is 2 h behind. Check that `locctl rollup --watch 60` is running, and its log.",
    ),
    *(
        (
            replace(WELL, minutes_missing_fixes=missing),
            "minutes_miss_fixes",
            f"{minutes} with missing fixes. Run `locctl rollup`, and `locctl verify` if that "
            "does not help.",
        )
        for missing, minutes in (
            (1, "1 minute"),
            (3, "3 minutes"),
            (1_000, "1,000 or more minutes"),
        )
    ),
    (
        replace(WELL, quarantined_minutes=2, quarantined=("x", "y")),
        "minutes_quarantined",
        "2 minutes in quarantine, which the roll-up leaves out: x; y. The raw fixes are kept. "
        "Erase the user with `locctl erase`, or repair the documents and run "
        "`locctl verify --repair`.",
    ),
]


@pytest.mark.parametrize(("status", "code", "message"), PROBLEMS)
def test_problem_is_found_with_code_and_advice(status: Status, code: str, message: str) -> None:
    assert find_problems(status, LAG) == [Problem(code, message)]


def test_every_code_occurs() -> None:
    assert {code for _, code, _ in PROBLEMS} == set(CODES)


def test_most_serious_problem_comes_first() -> None:
    bad = replace(disk(0, 100), rollup_lag_s=601.0, minutes_missing_fixes=1)
    codes = [problem.code for problem in find_problems(bad, LAG)]
    assert codes == ["disk_nearly_full", "rollup_lags", "minutes_miss_fixes"]


def test_accepted_lag_is_configurable() -> None:
    assert find_problems(replace(WELL, rollup_lag_s=3_600.0), timedelta(hours=1)) == []
    assert len(find_problems(WELL, timedelta(minutes=5))) == 1
