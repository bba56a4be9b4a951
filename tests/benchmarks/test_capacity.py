"""The model of what a load needs."""

import json
from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import sizing
from benchmarks.__main__ import RESULTS
from benchmarks.capacity import (
    AT_INSERT,
    CHECK,
    DENSE_S,
    FIT,
    RHYTHMS,
    SPARSE_S,
    Assumed,
    Cost,
    Costs,
    Load,
    Measured,
    fit,
    need,
    predicted,
)

COSTS = Costs(
    api_cpu=Cost(200.0),
    insert_cpu=Cost(50.0),
    insert_oplog=Cost(600.0),
    fix_disk=Cost(200.0),
    fold_cpu=Cost(4.0, 60.0),
    fold_oplog=Cost(10.0, 300.0),
    minute_disk=Cost(3.0, 100.0),
    prune_cpu=Cost(20.0, 30.0),
    prune_oplog=Cost(150.0),
    keys_cpu=Cost(1.0),
)
USERS = st.integers(1, 10**8)


def test_need_matches_a_case_computed_by_hand() -> None:
    # 6,000 users at a fix a second: 6,000 fixes and 100 minutes a second; half of a core is used.
    wanted = need(Load(6_000, 1), COSTS)
    assert wanted.api_cores == pytest.approx(6_000 * 200e-6 / 0.5)
    inserts, folds, prunes = 6_000 * 50, 6_000 * 4 + 100 * 60, 6_000 * 20 + 100 * 30
    assert wanted.mongod_cores == pytest.approx((inserts + folds + prunes) / 1e6 / 0.5)
    assert wanted.rollups == 1
    assert wanted.raw_day == pytest.approx(6_000 * 200 * 86_400)
    assert wanted.minutes_day == pytest.approx((6_000 * 3 + 100 * 100) * 86_400)
    assert wanted.oplog_day == pytest.approx((6_000 * (600 + 10 + 150) + 100 * 300) * 86_400)
    assert wanted.disk == pytest.approx(7 * wanted.raw_day + 365 * wanted.minutes_day)
    # 1.6 TB on disks of 4 TB that may be 0.7 full; 0.9 of 15.988 cores.
    assert (wanted.shards, wanted.first) == (1, "disk space for minutes")


def test_rhythms_slower_than_a_minute_make_a_minute_of_each_fix() -> None:
    assert (Load(600, 1).fixes, Load(600, 1).minutes) == (600, 10)
    assert (Load(600, 30).fixes, Load(600, 30).minutes) == (20, 10)
    assert (Load(600, 300).fixes, Load(600, 300).minutes) == (2, 2)


@given(USERS, st.sampled_from([1, 10, 30, 600]))
def test_ten_times_the_users_need_ten_times_as_much(users: int, rhythm: int) -> None:
    one, ten = need(Load(users, rhythm), COSTS), need(Load(10 * users, rhythm), COSTS)
    for name in ("fixes", "api_cores", "mongod_cores", "raw_day", "minutes_day", "oplog_day"):
        assert getattr(ten, name) == pytest.approx(10 * getattr(one, name))
    assert one.rollups <= ten.rollups <= 10 * one.rollups
    assert ten.shards is None or (one.shards is not None and one.shards <= ten.shards)


@given(USERS, st.sampled_from([1, 30]), st.floats(0.1, 1.0))
def test_longer_retention_or_smaller_shards_need_more_shards(
    users: int, rhythm: int, part: float
) -> None:
    load, usual = Load(users, rhythm), Assumed()
    shards = need(load, COSTS, usual).shards
    for harder in (
        replace(usual, raw_days=usual.raw_days / part),
        replace(usual, shard_disk=usual.shard_disk * part),
        replace(usual, shard_cores=max(1, int(usual.shard_cores * part))),
        replace(usual, busy=usual.busy * part),
    ):
        more = need(load, COSTS, harder).shards
        assert more is None or (shards is not None and more >= shards)


def test_no_number_of_shards_suffices_if_window_search_fills_each() -> None:
    # A µs for each of 8 million fixes a second is 16 half-used cores, on every shard.
    wanted = need(Load(8_000_000, 1), COSTS)
    assert wanted.shards is None
    assert wanted.first == "finding a window's end, on each shard"
    assert need(Load(7_000_000, 1), COSTS).shards is not None


def made(costs: Costs, start: float = 1_000.0) -> Measured:
    """Return what would be measured if these were the costs, and each run began with as much."""
    return {
        (name, rhythm, size): start
        + getattr(costs, name).of(size, size / 60 if rhythm == DENSE_S else size / 2)
        for name in costs.__dataclass_fields__
        for rhythm in ((DENSE_S,) if name in AT_INSERT else RHYTHMS)
        for size in (*FIT, *CHECK)
    }


def test_fit_recovers_the_costs_behind_the_measurements() -> None:
    found = fit(made(COSTS))
    for mine, true in zip(astuple(found), astuple(COSTS), strict=True):
        assert mine == pytest.approx(true)
    assert predicted("fold_cpu", SPARSE_S, CHECK[1], made(COSTS)) == pytest.approx(
        made(COSTS)["fold_cpu", SPARSE_S, CHECK[1]]
    )


@given(st.floats(0, 1e3), st.floats(0, 1e3))
def test_costs_are_never_negative(dense: float, sparse: float) -> None:
    noisy = dict(made(COSTS))
    noisy["fold_cpu", DENSE_S, FIT[1]] = dense
    noisy["fold_cpu", SPARSE_S, FIT[1]] = sparse
    cost = fit(noisy).fold_cpu
    assert cost.fix >= 0
    assert cost.minute >= 0


def test_numbers_have_their_units() -> None:
    assert [sizing.size(value) for value in (999, 1_500, 2e9, 3e15, 4e18)] == [
        "999 bytes",
        "1.5 kB",
        "2.0 GB",
        "3.0 PB",
        "4,000 PB",
    ]
    assert [sizing.number(value) for value in (0.0123, 1.25, 99.94, 1234.5)] == [
        "0.012",
        "1.2",
        "99.9",
        "1,234",
    ]


def test_the_page_shows_what_was_measured() -> None:
    rows = json.loads(RESULTS.read_text())["capacity"]
    page = sizing.PAGE.read_text()
    assert sizing.filled(page, rows) == page
    assert "a fix in 30 s" in sizing.tables(rows)["check"]
