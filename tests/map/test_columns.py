"""Minutes as tracks, segments and columns of the map."""

import base64
import struct
import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locapi.errors import Misconfigured
from locapi.exporters.tracks import MAX_STEP
from locapi.map import columns as module
from locapi.map.columns import COLUMNS, MAX_INT32, UNKNOWN, Columns, TrackRows, collect, pack
from tests.support.minutes import NOON, minute

MIDNIGHT = 720  # minutes after noon


def unpack(columns: Columns) -> dict[str, list[int]]:
    """Read the columns as a browser does: by adding differences, in 32 bits."""
    data = zlib.decompress(base64.b64decode(pack(columns)))
    steps = struct.unpack(f"<{len(data) // 4}i", data)
    values: dict[str, list[int]] = {}
    for place, name in enumerate(COLUMNS):
        value, values[name] = 0, []
        for step in steps[place * columns.minutes : (place + 1) * columns.minutes]:
            value = (value + step + 2**31) % 2**32 - 2**31
            values[name].append(value)
    return values


def drawn_longitudes(columns: Columns) -> list[float]:
    values = columns.values
    return [
        long / 1e6 + 360 * turn for long, turn in zip(values["long"], values["turn"], strict=True)
    ]


def test_tracks_are_by_user_and_day_and_segments_cross_midnight_but_no_gap_and_no_user() -> None:
    night = [minute("a", MIDNIGHT - 1), minute("a", MIDNIGHT)]
    gap = [minute("b", 0), minute("b", MAX_STEP), minute("b", 2 * MAX_STEP + 1)]
    columns = collect([night, [*gap, minute("c", 2 * MAX_STEP + 2)]])
    assert columns.users == ["a", "b", "c"]
    assert columns.tracks == [
        TrackRows(0, 0, 1),
        TrackRows(0, 1, 1),
        TrackRows(1, 2, 3),
        TrackRows(2, 5, 1),
    ]
    assert columns.values["segment"] == [0, 0, 1, 1, 2, 3]


def test_unknown_values_are_below_zero() -> None:
    values = collect([[minute(accuracy=None, speed=None)]]).values
    assert (values["accuracy"], values["speed"]) == ([UNKNOWN], [UNKNOWN])
    assert UNKNOWN < 0


def test_values_are_rounded_to_whole_units_and_capped() -> None:
    position: dict[str, Any] = {"lat": -16.1234567, "long": 179.9999994}
    first = minute(**position, accuracy=17.228, speed=0.9384, count=60)
    second = minute(after=1, **position, accuracy=1.7e308, speed=1e300, count=2**40)
    assert collect([[first, second]]).values == {
        "minute": [int(NOON.timestamp()) // 60, int(NOON.timestamp()) // 60 + 1],
        "lat": [-16_123_457] * 2,
        "long": [179_999_999] * 2,
        "accuracy": [1_723, MAX_INT32],
        "speed": [938, MAX_INT32],
        "count": [60, MAX_INT32],
        "turn": [0, 0],
        "segment": [0, 0],
    }


@pytest.mark.parametrize(
    ("longs", "drawn"),
    [
        ([179.9, -179.9], [179.9, 180.1]),
        ([-179.9, 179.9], [180.1, 179.9]),
        ([179.9, 180.0, -180.0, -179.8], [-180.1, -180.0, -180.0, -179.8]),
        ([-74.0, -73.9], [-74.0, -73.9]),
        ([-120.0, 0.0, 120.0, -120.0, 0.0], [-120.0, 0.0, 120.0, 240.0, 360.0]),
        ([120.0, 0.0, -120.0, 120.0], [120.0, 0.0, -120.0, -240.0]),
        ([10.0], [10.0]),
    ],
)
def test_neighbours_are_drawn_the_short_way(longs: list[float], drawn: list[float]) -> None:
    columns = collect([[minute("a", at, long=long) for at, long in enumerate(longs)]])
    assert drawn_longitudes(columns) == pytest.approx(drawn)


@pytest.mark.parametrize(
    ("longs", "turns"),
    [([-74.0, 178.0, -179.0], [0, -1, 0]), ([-135.0, -45.0, 45.0, 135.0], [0] * 4)],
    ids=["users on both sides of the antimeridian", "users all around the world"],
)
def test_map_starts_at_the_widest_empty_range(longs: list[float], turns: list[int]) -> None:
    columns = collect([[minute(f"u{at}", long=long) for at, long in enumerate(longs)]])
    assert columns.values["turn"] == turns


positions = st.tuples(st.integers(1, 2 * MAX_STEP), st.floats(-90, 90), st.floats(-180, 180))


@given(st.lists(positions, max_size=30))
def test_packed_columns_read_back_and_no_line_is_longer_than_half_the_globe(
    path: list[tuple[int, float, float]],
) -> None:
    rows, after = [], 0
    for step, lat, long in path:
        after += step
        rows.append(minute(after=after, lat=lat, long=long))
    columns = collect([rows])
    assert unpack(columns) == columns.values
    minutes, segments = columns.values["minute"], columns.values["segment"]
    drawn = drawn_longitudes(columns)
    for at, other in pairwise(range(len(rows))):
        is_joined = segments[at] == segments[other]
        assert is_joined == (minutes[other] - minutes[at] <= MAX_STEP)
        assert not is_joined or abs(drawn[other] - drawn[at]) <= 180 + 1e-9


def test_too_many_minutes_are_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MINUTES", 2)
    with pytest.raises(Misconfigured) as refused:
        collect([[minute(after=at) for at in range(3)]])
    assert str(refused.value) == (
        "more than 2 minutes are too many for one page. Select fewer, by time or by user."
    )
