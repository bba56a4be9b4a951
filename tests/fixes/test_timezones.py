"""Wall time and position to UTC."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locapi.fixes import timezones
from locapi.fixes.timezones import Instant

NEW_YORK = (40.7, -74.0)


def at(hour: int, minute: int) -> datetime:
    return datetime(2017, 1, 1, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("position", "instant"),
    [
        (NEW_YORK, Instant(at(18, 5), "America/New_York", -18_000)),
        ((-12.46, 130.84), Instant(at(3, 35), "Australia/Darwin", 34_200)),
        # At sea the sign in the name is inverted: Etc/GMT+2 is two hours behind UTC.
        ((30.0, -35.0), Instant(at(15, 5), "Etc/GMT+2", -7_200)),
    ],
)
def test_the_position_gives_the_zone(position: tuple[float, float], instant: Instant) -> None:
    assert timezones.readings(datetime(2017, 1, 1, 13, 5), *position) == [instant]


positions = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
walls = st.datetimes(datetime(1970, 1, 2), datetime(2037, 12, 31))


@given(walls, positions)
def test_every_reading_has_the_wall_time_or_lies_in_a_gap(
    wall: datetime, position: tuple[float, float]
) -> None:
    for instant in timezones.readings(wall, *position):
        offset = timedelta(seconds=instant.utc_offset)
        assert instant.fix_time == wall.replace(tzinfo=UTC) - offset


@given(positions)
def test_every_position_has_a_zone(position: tuple[float, float]) -> None:
    assert timezones.zone_at(*position)


def test_threads_find_the_same_zones_as_one() -> None:
    grid = [(lat, long) for lat in range(-90, 91, 6) for long in range(-180, 181, 6)] * 3
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda position: timezones.zone_at(*position), grid))
    assert together == [timezones.zone_at(*position) for position in grid]
