"""Ids of fixes and minutes."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locapi.fixes import ids

TIME = datetime(2017, 1, 1, 18, 5, 12, 345_000, tzinfo=UTC)
MINUTE = "a1\t2017-01-01T18:05"

users = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1)
times = st.datetimes(datetime(1970, 1, 2), datetime(2037, 12, 31), timezones=st.just(UTC))


def test_an_id_is_the_user_a_tab_and_a_time() -> None:
    wall = datetime(2017, 1, 1, 13, 5, 12)
    assert ids.fix_id("a1", wall) == "a1\t2017-01-01 13:05:12.000"
    assert ids.fix_id("a1", wall, -18_000) == "a1\t2017-01-01 13:05:12.000-05:00"
    assert ids.fix_id("a1", wall, 20_700) == "a1\t2017-01-01 13:05:12.000+05:45"
    assert ids.fix_id("a1", wall, -2_670) == "a1\t2017-01-01 13:05:12.000-00:44:30"
    assert ids.minute_id("a1", TIME) == MINUTE


@given(users, times)
def test_every_part_of_a_minute_id_can_be_read(user_id: str, time: datetime) -> None:
    minute_id, start = ids.minute_id(user_id, time), time.replace(second=0, microsecond=0)
    assert ids.parse_minute_id(minute_id) == (user_id, start)
    assert ids.split_minute_id(minute_id) == (user_id, start.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert ids.start_of(minute_id) == ids.split_minute_id(minute_id)[1]
    assert ids.user_of(minute_id) == user_id
    assert ids.parse_day_id(ids.day_id(minute_id)) == (user_id, f"{start:%Y-%m-%d}")
    assert ids.minute_of_day(minute_id) == start.hour * 60 + start.minute


@pytest.mark.parametrize(
    ("minutes", "start"),
    [(1, "18:05"), (2, "18:04"), (15, "18:00"), (360, "18:00"), (1440, "00:00")],
)
def test_a_bucket_is_named_after_its_first_minute(minutes: int, start: str) -> None:
    assert ids.bucket_ids(timedelta(minutes=minutes))(MINUTE) == f"a1\t2017-01-01T{start}"


def test_a_seen_code_is_an_int32_of_milliseconds_and_utc_offset() -> None:
    assert ids.seen_code(TIME, 0) == 12_345
    assert ids.seen_code(TIME, -18_000) == 12_345 - 600 * 60_000
    for hours in (-16, 16):
        assert abs(ids.seen_code(TIME, hours * 3600)) < 2**31


@given(users, times, st.integers(-16 * 120, 16 * 120).map(lambda steps: steps * 30))
def test_a_minute_and_a_seen_code_identify_the_fix(
    user_id: str, time: datetime, utc_offset: int
) -> None:
    time = time.replace(microsecond=time.microsecond // 1000 * 1000)
    wall = time.replace(tzinfo=None) + timedelta(seconds=utc_offset)
    code = ids.seen_code(time, utc_offset)
    both = ids.fix_id(user_id, wall), ids.fix_id(user_id, wall, utc_offset)
    assert ids.seen_fix_ids(ids.minute_id(user_id, time), code) == both
    assert ids.seen_time(time.replace(second=0, microsecond=0), code) == time
    assert ids.seen_utc_offset(code) == utc_offset


@given(st.lists(users, min_size=2))
def test_the_ids_of_one_user_are_one_range_without_any_other_user_s(users: list[str]) -> None:
    own, *others = users
    bounds = ids.of_user(own)
    for user in others:
        for key in (ids.minute_id(user, TIME), ids.fix_id(user, TIME, 3600)):
            assert (bounds["$gte"] <= key < bounds["$lt"]) == (user == own)


def test_the_slice_of_a_user_never_changes() -> None:
    """It is stored with each fix: another hash would split one user's fixes."""
    assert [ids.slice_of(user_id) for user_id in ("a1", "a2", "Zoë", "用户")] == [35, 25, 42, 93]
    found = Counter(ids.slice_of(f"user{number}") for number in range(12_800))
    assert set(found) == set(range(ids.SLICES))
    assert max(found.values()) < 160
