"""Fold minutes into longer buckets of UTC, exactly: from the sums that the minutes keep."""

import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain, groupby, islice
from math import fsum
from operator import itemgetter

from locapi.mongo import Document
from locapi.times import MINUTE

STATE = (
    "lat_sum",
    "long_sum",
    "accuracy_sum",
    "speed_sum",
    "west",
    "long_min",
    "long_max",
    "count",
)
_PAGE = 10_000
_DAY = range(24 * 60)

_state = itemgetter(*STATE)


def fold(pages: Iterable[list[Document]], span: timedelta) -> Iterator[list[Document]]:
    """Yield pages of averages over buckets of `span`, named like minutes by where they start.

    The minutes come by user and then time, each with its STATE; a bucket's averages
    are those of all its fixes. `span` is a whole number of minutes that divides a day.
    """
    start = _starts(span // MINUTE)
    buckets = groupby(
        chain.from_iterable(pages),
        key=lambda minute: minute["_id"][:-5] + start[minute["_id"][-5:]],
    )
    folded = (_average(key, map(_state, minutes)) for key, minutes in buckets)
    while page := list(islice(folded, _PAGE)):
        yield page


def _starts(minutes: int) -> dict[str, str]:
    """Return for each time of a day, as a minute's key ends in it, where its bucket starts."""
    return {_clock(minute): _clock(minute // minutes * minutes) for minute in _DAY}


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _average(key: str, states: Iterable[tuple[float, ...]]) -> Document:
    lat, long, accuracy, speed, west, long_min, long_max, counts = zip(*states, strict=True)
    count = sum(counts)
    # As in a minute: what is wider than half the globe is averaged across the antimeridian.
    turned = 360 * sum(west) if max(long_max) - min(long_min) > 180 else 0
    average_long = fsum((*long, turned)) / count
    return {
        "_id": key,
        "lat": fsum(lat) / count,
        "long": average_long - 360 if average_long > 180 else average_long,
        "accuracy": _finite_sum(accuracy) / count,
        "speed": _finite_sum(speed) / count,
        "count": count,
    }


def _finite_sum(values: Iterable[float]) -> float:
    try:
        return min(fsum(values), sys.float_info.max)
    except OverflowError:  # accuracies near 1e308 m are valid fixes
        return sys.float_info.max
