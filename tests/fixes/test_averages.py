"""Averages: in Python, as an aggregation, and as their definition says."""

import sys
from operator import itemgetter

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from locapi.fixes import averages
from locapi.fixes.averages import AVERAGED, STATE
from locapi.storage.documents import Document
from tests.support.depth import examples
from tests.support.reference import close, means

longs = st.floats(-180, 180) | st.floats(179, 180) | st.floats(-180, -179) | st.just(-5e-324)
fixes = st.fixed_dictionaries(
    {
        "lat": st.floats(-90, 90),
        "long": longs,
        "accuracy": st.none() | st.floats(0, 1e9) | st.floats(0, sys.float_info.max),
        "speed": st.none() | st.floats(0, 1e3),
    }
)
values = itemgetter(*STATE)
groups = st.lists(st.lists(fixes, min_size=1, max_size=6), min_size=1, max_size=4)


def along(*longs: float) -> list[list[Document]]:
    return [[{"lat": 0.0, "long": long, "accuracy": 0.0, "speed": 0.0}] for long in longs]


def small(accuracy: float | None) -> float | None:
    return None if accuracy is None else accuracy % 1e9


def by_aggregation(db: Database[Document], groups: list[list[Document]]) -> Document:
    """Return state and averages as the database makes them, merging the states one by one."""
    rows = [
        {"group": number, **fix, **averages.markers(fix["accuracy"], fix["speed"])}
        for number, group in enumerate(groups)
        for fix in group
    ]
    grouped = {"$group": {"_id": "$group", "count": {"$sum": 1}, **averages.state_expression()}}
    counted = {"$set": averages.known_expression("$count")}
    first, *others = db.aggregate([{"$documents": rows}, grouped, counted, {"$sort": {"_id": 1}}])
    for new in others:
        both = {"vars": {"new": {"$literal": new}}, "in": averages.merge_expression("$$new")}
        [first] = db.aggregate([{"$documents": [first]}, {"$replaceWith": {"$let": both}}])
    [first] = db.aggregate([{"$documents": [first]}, {"$set": averages.average_expression()}])
    return first


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
@given(groups)
@example(along(180.0, -5e-324, -1.0))
@example(along(179.9, -179.7))
@example(along(180.0, -180.0))
@example(along(-90.0, 90.0))
def test_python_and_the_aggregation_make_the_same_state_and_averages(
    db: Database[Document], groups: list[list[Document]]
) -> None:
    state = averages.merge(values(averages.state(group)) for group in groups)
    document = by_aggregation(db, groups)
    assert [document[name] for name in STATE] == close(state.values())
    expected = averages.average(state)
    off = document["long"] - expected.pop("long")
    assert (off + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)  # 180 and -180 are one meridian
    assert [document[name] for name in expected] == close(expected.values())


@given(groups)
def test_averages_are_the_plain_means_however_the_fixes_are_grouped(
    groups: list[list[Document]],
) -> None:
    every = [{**fix, "accuracy": small(fix["accuracy"])} for group in groups for fix in group]
    lat, long, *others = means(every)
    for state in (
        averages.state(every),
        averages.merge(values(averages.state([fix])) for fix in every),
    ):
        found = averages.average(state)
        found_long = found["long"]
        assert found_long is not None
        assert -180 <= found_long <= 180
        assert (found_long - long + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)
        assert [found[name] for name in ("lat", "accuracy", "speed")] == close([lat, *others])


@pytest.mark.parametrize(
    ("longs", "average"),
    [
        ([179.9, -179.9], 180.0),
        ([179.9, -179.7], -179.9),
        ([180.0, -180.0], 180.0),
        ([179.0, 179.0, -179.0], 179.0 + 2 / 3),
        ([180.0, -180.0, -179.4], 180.2 - 360),
        ([-122.0, 121.0], 179.5),
        ([-60.0, 60.0], 0.0),
        ([-90.0, 90.0], 0.0),
        ([-0.1, 0.1], 0.0),
    ],
)
def test_longitudes_average_on_the_short_side(longs: list[float], average: float) -> None:
    state = averages.merge(values(averages.state(fixes)) for fixes in along(*longs))
    assert averages.average(state)["long"] == pytest.approx(average, abs=1e-9)


def test_sums_beyond_the_largest_double_count_as_the_largest_double() -> None:
    huge = {name: 1.7e308 if name == "accuracy" else 1.0 for name in AVERAGED}
    assert averages.average(averages.state([huge] * 4))["accuracy"] == sys.float_info.max / 4
