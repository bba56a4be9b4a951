"""How a fix and a minute are named."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from locapi import keys

TIME = datetime(2017, 1, 1, 18, 5, 12, 345_000, tzinfo=UTC)


def test_keys_are_the_user_a_tab_and_a_time() -> None:
    assert keys.fix_id("a1", datetime(2017, 1, 1, 13, 5, 12)) == "a1\t2017-01-01 13:05:12.000"
    assert keys.minute_id("a1", TIME) == "a1\t2017-01-01T18:05"


def test_a_mark_is_an_int32_that_tells_milliseconds_and_offset_apart() -> None:
    assert keys.mark(TIME, 0) == 12_345
    assert keys.mark(TIME, -18_000) == 12_345 - 600 * 60_000
    for hours in (-16, 16):
        assert abs(keys.mark(TIME, hours * 3600)) < 2**31


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2037, 12, 31)),
    st.integers(-16 * 120, 16 * 120).map(lambda steps: steps * 30),
)
def test_a_minute_and_a_mark_name_the_raw_fix(time: datetime, utc_offset: int) -> None:
    time = time.replace(microsecond=time.microsecond // 1000 * 1000, tzinfo=UTC)
    wall = time.replace(tzinfo=None) + timedelta(seconds=utc_offset)
    mark = keys.mark(time, utc_offset)
    assert keys.seen_fix_id(keys.minute_id("ü", time), mark) == keys.fix_id("ü", wall)
    assert keys.seen_time(time.replace(second=0, microsecond=0), mark) == time


@given(st.lists(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1), min_size=2))
def test_one_users_keys_are_one_range_that_holds_nobody_elses(users: list[str]) -> None:
    own, *others = users
    bounds = keys.of_user(own)
    for user in others:
        inside = bounds["$gte"] <= keys.minute_id(user, TIME) < bounds["$lt"]
        assert inside == (user == own)


def test_a_user_s_slice_stays_what_it_is() -> None:
    """It is stored, so another hash would part one user's fixes."""
    assert [keys.slice_of(user_id) for user_id in ("a1", "a2", "Zoë", "用户")] == [35, 25, 42, 93]
    found = Counter(keys.slice_of(f"user{number}") for number in range(12_800))
    assert set(found) == set(range(keys.SLICES))
    assert max(found.values()) < 160
