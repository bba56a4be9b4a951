"""Averages of any size, in any order, folded in any number of parts."""

import random

import pytest
from pymongo.database import Database

from locapi.storage.documents import Document
from tests.support.fixes import fold_alone, raw
from tests.support.reference import AVERAGED, means


def fold_in_parts(db: Database[Document], fixes: list[Document], parts: int) -> Document:
    """Insert all fixes, fold them in that many parts, and return the one minute."""
    db.fixes.insert_many(fixes)
    size = -(-len(fixes) // parts)
    for first in range(0, len(fixes), size):
        fold_alone(db, *(fix["_id"] for fix in fixes[first : first + size]))
    (minute,) = db.minutes.find()
    return minute


def assert_means(minute: Document, fixes: list[Document]) -> None:
    assert [minute[name] for name in AVERAGED] == [
        pytest.approx(mean, rel=1e-9, abs=1e-9) for mean in means(fixes)
    ]


def test_a_minute_with_thousands_of_fixes_is_exact(db: Database[Document]) -> None:
    rng = random.Random(2)
    fixes = [
        raw(
            ms,
            lat=rng.uniform(-90, 90),
            long=rng.uniform(-180, 180),
            accuracy=rng.expovariate(1e-3),
        )
        for ms in range(0, 60_000, 10)
    ]
    rng.shuffle(fixes)
    minute = fold_in_parts(db, fixes, parts=20)
    assert sorted(minute["seen"]) == sorted(fix["seen_code"] for fix in fixes)
    assert minute["count"] == 6_000
    assert_means(minute, fixes)


@pytest.mark.parametrize("parts", [1, 2, 7, 50])
def test_values_of_very_different_size_average_as_their_exact_sum_does(
    db: Database[Document], parts: int
) -> None:
    rng = random.Random(parts)
    fixes = [
        raw(ms, lat=rng.choice((1e-12, 90.0, -90.0)), accuracy=10 ** rng.uniform(-9, 9), speed=0.1)
        for ms in range(500)
    ]
    rng.shuffle(fixes)
    assert_means(fold_in_parts(db, fixes, parts), fixes)
