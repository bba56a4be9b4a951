"""Averages of any size, order and splitting."""

import random

import bson
import pytest
from pymongo.database import Database

from locapi import rollup
from locapi.mongo import Document
from tests.test_rollup import means, raw


def fold_in_parts(db: Database[Document], fixes: list[Document], parts: int) -> Document:
    """Insert all, fold them in that many parts, and return the one minute."""
    db.fixes.insert_many(fixes)
    size = -(-len(fixes) // parts)
    for first in range(0, len(fixes), size):
        rollup._fold(db, {"_id": {"$in": [fix["_id"] for fix in fixes[first : first + size]]}})
    (minute,) = db.minutes.find()
    return minute


def assert_means(minute: Document, fixes: list[Document]) -> None:
    names = ("lat", "long", "accuracy", "speed")
    assert [minute[name] for name in names] == [
        pytest.approx(mean, rel=1e-9, abs=1e-9) for mean in means(fixes)
    ]


def test_a_minute_with_a_fix_each_millisecond_folded_in_a_hundred_parts_is_exact_and_small(
    db: Database[Document],
) -> None:
    rng = random.Random(2)
    fixes = [
        raw(
            ms,
            lat=rng.uniform(-90, 90),
            long=rng.uniform(-180, 180),
            accuracy=rng.expovariate(1e-3),
        )
        for ms in range(60_000)
    ]
    rng.shuffle(fixes)
    minute = fold_in_parts(db, fixes, parts=100)
    assert sorted(minute["seen"]) == sorted(fix["mark"] for fix in fixes)
    assert minute["count"] == 60_000
    assert_means(minute, fixes)
    assert len(bson.encode(minute)) < 1_000_000


@pytest.mark.parametrize("parts", [1, 2, 7, 50])
@pytest.mark.parametrize("seed", range(3))
def test_values_of_very_different_size_average_as_their_exact_sum_does(
    db: Database[Document], parts: int, seed: int
) -> None:
    rng = random.Random(seed)
    fixes = [
        raw(ms, lat=rng.choice((1e-12, 90.0, -90.0)), accuracy=10 ** rng.uniform(-9, 9), speed=0.1)
        for ms in range(500)
    ]
    rng.shuffle(fixes)
    assert_means(fold_in_parts(db, fixes, parts), fixes)


@pytest.mark.parametrize("lat", [-90.0, 0.0, 90.0])
@pytest.mark.parametrize(
    ("longs", "long"),
    [
        ([179.9, -179.9], 180.0),
        ([179.0, -179.8, -179.9], (179.0 + 180.2 + 180.1) / 3),
        ([-179.0, 179.8, 179.9], (181.0 + 179.8 + 179.9) / 3 - 360),
        ([180.0, -180.0, -179.4], 180.2 - 360),
    ],
)
@pytest.mark.parametrize("parts", [1, 2])
def test_a_straddling_minute_is_right_on_both_sides_and_at_the_poles(
    db: Database[Document], lat: float, longs: list[float], long: float, parts: int
) -> None:
    fixes = [raw(ms, lat=lat, long=value) for ms, value in enumerate(longs)]
    minute = fold_in_parts(db, fixes, parts)
    assert minute["lat"] == lat
    assert abs((minute["long"] - long + 180) % 360 - 180) < 1e-9
    assert -180 <= minute["long"] <= 180


def test_a_minute_that_first_looks_plain_turns_out_to_straddle(db: Database[Document]) -> None:
    fixes = [raw(0, long=179.0), raw(1, long=178.0), raw(2, long=-179.0)]
    minute = fold_in_parts(db, fixes, parts=3)
    assert minute["long"] == pytest.approx((179 + 178 + 181) / 3, abs=1e-9)
