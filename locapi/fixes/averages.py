"""Average fixes exactly: each step once in Python and once as an aggregation of MongoDB.

| step | Python | aggregation |
|---|---|---|
| fixes to their state | `state` | `state_expression` |
| two states to one | `merge` | `merge_expression` |
| a state to averages | `average` | `average_expression` |

A minute keeps its state: sums, extremes and counts. So its averages can follow each fix that
is added, and those of longer buckets come from the states of their minutes. Positions are in
degrees, accuracy in metres, speed in metres a second.

Longitudes more than half the globe apart are nearer to each other across the antimeridian.
There each longitude below 0 counts as 360 degrees more, and `west` is how many there are.
Accuracies near the largest double have an infinite sum; it counts as the largest double.

A fix whose accuracy or speed is unknown has null there and a marker, 1, in `accuracy_unknown` or
`speed_unknown`. Other fixes have no marker: to sum those of few fixes costs nothing, to compare
values of all would. `accuracy_count` and `speed_count` are how many fixes have the value, and its
average is over those.
"""

from collections.abc import Iterable, Mapping
from math import fsum, inf
from operator import itemgetter
from sys import float_info
from typing import Any, TypedDict

AVERAGED = ("lat", "long", "accuracy", "speed")
OPTIONAL = ("accuracy", "speed")  # what may be unknown of a fix

Expressions = dict[str, Any]


class State(TypedDict):
    """What averages are calculated from."""

    lat_sum: float
    long_sum: float
    accuracy_sum: float
    speed_sum: float
    west: int
    long_min: float
    long_max: float
    accuracy_count: int
    speed_count: int
    count: int


STATE = tuple(State.__annotations__)
_SUMS = tuple(f"{name}_sum" for name in AVERAGED)
_COUNTS = tuple(f"{name}_count" for name in OPTIONAL)
_ADDED = (*_SUMS, "west", *_COUNTS, "count")
_values = itemgetter(*AVERAGED)


def markers(accuracy: float | None, speed: float | None) -> dict[str, int]:
    """Return the markers of a fix, by field; mostly none."""
    if accuracy is not None and speed is not None:
        return {}
    values = zip(OPTIONAL, (accuracy, speed), strict=True)
    return {f"{name}_unknown": 1 for name, value in values if value is None}


def state(fixes: Iterable[Mapping[str, Any]]) -> State:
    """Return the state of some fixes, at least one."""
    return merge(map(_state, map(_values, fixes)))


def _state(values: tuple[Any, ...]) -> tuple[Any, ...]:
    lat, long, accuracy, speed = values
    sums = lat, long, accuracy or 0.0, speed or 0.0
    return *sums, long < 0, long, long, accuracy is not None, speed is not None, 1


def state_expression() -> Expressions:
    """Return the accumulators of a `$group` of fixes, by field.

    The caller adds `count`, and `known_expression` for the two counts that are markers here.
    """
    return {
        **{total: {"$sum": f"${name}"} for total, name in zip(_SUMS, AVERAGED, strict=True)},
        # $cond would cost an eighth of the whole $group.
        "west": {"$sum": {"$toInt": {"$lt": ["$long", 0]}}},
        "long_min": {"$min": "$long"},
        "long_max": {"$max": "$long"},
        **{f"{name}_count": {"$sum": f"${name}_unknown"} for name in OPTIONAL},
    }


def known_expression(count: Any) -> Expressions:
    """Return how many of `count` grouped fixes have each value that may be unknown, by field."""
    return {name: {"$subtract": [count, f"${name}"]} for name in _COUNTS}


def merge(states: Iterable[tuple[Any, ...]]) -> State:
    """Return the state of all fixes of some states, at least one; these as values of STATE."""
    lat, long, accuracy, speed, west, long_min, long_max, *counts = zip(*states, strict=True)
    accuracy_count, speed_count, count = map(sum, counts)
    return {
        "lat_sum": _sum(lat),
        "long_sum": _sum(long),
        "accuracy_sum": _sum(accuracy),
        "speed_sum": _sum(speed),
        "west": sum(west),
        "long_min": min(long_min),
        "long_max": max(long_max),
        "accuracy_count": accuracy_count,
        "speed_count": speed_count,
        "count": count,
    }


def merge_expression(other: str) -> Expressions:
    """Return the state of a document and of `other` together, such as `$$new`, by field."""
    return {
        **{name: {"$add": [f"${name}", f"{other}.{name}"]} for name in _ADDED},
        "long_min": {"$min": ["$long_min", f"{other}.long_min"]},
        "long_max": {"$max": ["$long_max", f"{other}.long_max"]},
    }


def average(state: State) -> dict[str, float | None]:
    """Return the averages of a state, by the name of the averaged field; None if unknown."""
    count = state["count"]
    if state["long_max"] - state["long_min"] > 180:
        long = (state["long_sum"] + 360 * state["west"]) / count
        long = long - 360 if long > 180 else long
    else:
        long = state["long_sum"] / count
    return {
        "lat": state["lat_sum"] / count,
        "long": long,
        "accuracy": _mean(state["accuracy_sum"], state["accuracy_count"]),
        "speed": _mean(state["speed_sum"], state["speed_count"]),
    }


def _mean(total: float, count: int) -> float | None:
    return min(total, float_info.max) / count if count else None


def average_expression() -> Expressions:
    """Return the averages of a document's state, by field."""
    apart = {"$gt": [{"$subtract": ["$long_max", "$long_min"]}, 180]}
    turned = {"$cond": [apart, {"$multiply": [360, "$west"]}, 0]}
    long = {"$divide": [{"$add": ["$long_sum", turned]}, "$count"]}
    back = {"$cond": [{"$gt": ["$$long", 180]}, 360, 0]}
    return {
        "lat": {"$divide": ["$lat_sum", "$count"]},
        "long": {"$let": {"vars": {"long": long}, "in": {"$subtract": ["$$long", back]}}},
        **{name: _mean_expression(f"${name}_sum", f"${name}_count") for name in OPTIONAL},
    }


def _mean_expression(total: str, count: str) -> Expressions:
    mean = {"$divide": [{"$min": [total, float_info.max]}, count]}
    return {"$cond": [count, mean, None]}  # a count of 0 is false


def _sum(values: Iterable[float]) -> float:
    try:
        return fsum(values)
    except OverflowError:
        return inf
