"""Wall time and position to UTC."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locapi import utc
from locapi.utc import Instant

NEW_YORK = (40.7, -74.0)


def at(year: int, month: int, day: int, hour: int, minute: int) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wall", "position", "instant"),
    [
        (
            datetime(2017, 1, 1, 13, 5),
            NEW_YORK,
            Instant(at(2017, 1, 1, 18, 5), "America/New_York", -18_000),
        ),
        (
            datetime(2017, 7, 1, 13, 5),
            NEW_YORK,
            Instant(at(2017, 7, 1, 17, 5), "America/New_York", -14_400),
        ),
        (
            datetime(2017, 1, 1, 13, 5),
            (-12.46, 130.84),
            Instant(at(2017, 1, 1, 3, 35), "Australia/Darwin", 34_200),
        ),
        # At sea the sign in the name is inverted: Etc/GMT+2 is two hours behind UTC.
        (
            datetime(2017, 1, 1, 13, 5),
            (30.0, -35.0),
            Instant(at(2017, 1, 1, 15, 5), "Etc/GMT+2", -7_200),
        ),
        # The last whole-minute-less offset of all: Liberia kept -0:44:30 until 1972.
        (
            datetime(1971, 1, 1, 0, 0),
            (6.3, -10.8),
            Instant(datetime(1971, 1, 1, 0, 44, 30, tzinfo=UTC), "Africa/Monrovia", -2_670),
        ),
    ],
)
def test_an_unambiguous_wall_time_has_one_reading(
    wall: datetime, position: tuple[float, float], instant: Instant
) -> None:
    assert utc.readings(wall, *position) == [instant]


def test_the_gap_of_a_spring_change_keeps_the_offset_from_before() -> None:
    assert utc.readings(datetime(2017, 3, 12, 2, 30), *NEW_YORK) == [
        Instant(at(2017, 3, 12, 7, 30), "America/New_York", -18_000)
    ]


def test_the_repeated_hour_of_an_autumn_change_has_two_readings() -> None:
    assert utc.readings(datetime(2017, 11, 5, 1, 30), *NEW_YORK) == [
        Instant(at(2017, 11, 5, 5, 30), "America/New_York", -14_400),
        Instant(at(2017, 11, 5, 6, 30), "America/New_York", -18_000),
    ]


def test_an_hour_is_not_repeated_where_a_yearly_rule_begins_without_a_change() -> None:
    nuuk = (64.18, -51.74)
    assert utc.readings(datetime(2023, 10, 28, 23, 30), *nuuk) == [
        Instant(at(2023, 10, 29, 1, 30), "America/Nuuk", -7_200)
    ]


@pytest.mark.parametrize(
    "wall", [datetime(2017, 11, 5, 0, 59, 59, 999_000), datetime(2017, 11, 5, 2, 0)]
)
def test_beside_the_repeated_hour_there_is_one_reading(wall: datetime) -> None:
    assert len(utc.readings(wall, *NEW_YORK)) == 1


positions = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
walls = st.datetimes(datetime(1970, 1, 2), datetime(2037, 12, 31))


@given(walls, positions)
def test_every_reading_says_its_wall_time_or_lies_in_a_gap(
    wall: datetime, position: tuple[float, float]
) -> None:
    for instant in utc.readings(wall, *position):
        offset = timedelta(seconds=instant.utc_offset)
        assert instant.fix_time == wall.replace(tzinfo=UTC) - offset


@given(positions)
def test_every_position_has_a_zone(position: tuple[float, float]) -> None:
    assert utc.zone_at(*position)


def test_threads_find_the_same_zones_as_one() -> None:
    grid = [(lat, long) for lat in range(-90, 91, 6) for long in range(-180, 181, 6)] * 3
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda position: utc.zone_at(*position), grid))
    assert together == [utc.zone_at(*position) for position in grid]


@pytest.mark.parametrize(
    ("instant", "lat", "long", "wall"),
    [
        ("2017-11-05T05:30", 40.7, -74.0, "2017-11-05T01:30"),
        ("2017-11-05T06:30", 40.7, -74.0, "2017-11-05T01:30"),
        ("2017-03-12T06:59", 40.7, -74.0, "2017-03-12T01:59"),
        ("2017-03-12T07:00", 40.7, -74.0, "2017-03-12T03:00"),
        ("2017-01-01T00:00", 42.0, -50.0, "2016-12-31T21:00"),
        ("2017-06-01T00:00", -31.55, 159.08, "2017-06-01T10:30"),
    ],
)
def test_an_instant_is_shown_as_clocks_there_show_it(
    instant: str, lat: float, long: float, wall: str
) -> None:
    shown = utc.wall_time(datetime.fromisoformat(instant).replace(tzinfo=UTC), lat, long)
    assert shown == datetime.fromisoformat(wall)
