"""Times in files: what cannot be misread is read, and nothing else."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locapi.importers.instants import read_time

NOON = datetime(2024, 6, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2024-06-15T12:00:00Z",
        "2024-06-15 12:00:00Z",
        "2024-06-15t12:00:00z",
        "2024-06-15T12:00Z",
        "2024-06-15 12:00:00 UTC",
        "2024-06-15 12:00:00 gmt",
        "20240615T120000Z",
        "2024/06/15 12:00:00Z",
        "2024-06-15T12:00:00.000999999Z",
        "2024-06-15T12:00:00,0Z",
        "2024-06-15T14:00:00+02:00",
        "2024-06-15T14:00:00 +0200",
        "2024-06-15 14:00:00.0+02",
        "2024-06-15 06:30:00-0530",
        "2024-06-15 14:00:00 GMT+0200",
        "2024-06-15T14:00:00+02:00[Europe/Berlin]",
        "2024-06-15 14:00:00 UTC+2",
        "2024-06-15T10:00:00\u221202:00",
        "2024:06:15 12:00:00Z",
        "2024/6/15 12:00:00Z",
        "Sat, 15 Jun 2024 12:00:00 GMT",
        "15 Jun 2024 14:00:00 +0200",
        "2024-06-14T24:00:00-12:00",
        "2024-06-15T11:59:60Z",
        " 2024-06-15T12:00:00Z ",
        "1718452800",
        "1718452800000",
        "1718452800000.0",
        1_718_452_800,
        1_718_452_800.0,
        1_718_452_800_000,
        1_718_452_800_000_000,
        1_718_452_800_000_000_000,
    ],
)
@pytest.mark.parametrize("zone", [None, ZoneInfo("Asia/Tokyo")])
def test_an_instant_is_read_in_every_usual_form(text: Any, zone: ZoneInfo | None) -> None:
    assert read_time(text, zone) == NOON


@pytest.mark.parametrize(
    ("text", "local_time"),
    [
        ("2024-06-15 10:30:00", "2024-06-15 10:30:00"),
        ("2024-06-15 10:30:00.5", "2024-06-15 10:30:00.5"),
        ("2024-06-15T10:30:00", "2024-06-15 10:30:00"),
        ("2024-06-15T10:30:00,25", "2024-06-15 10:30:00.25"),
        ("2024-06-15T10:30:00.123456789", "2024-06-15 10:30:00.123456"),
        ("20240615T103000", "2024-06-15 10:30:00"),
        ("2024/06/15 10:30:00", "2024-06-15 10:30:00"),
        ("2024/6/5 9:05:00", "2024-06-05 09:05:00"),
        ("2024:06:15 10:30:00", "2024-06-15 10:30:00"),
        ("2024-06-14T24:00:00", "2024-06-15 00:00:00"),
    ],
)
def test_a_time_without_a_zone_is_local_or_in_the_given_zone(text: str, local_time: str) -> None:
    assert read_time(text) == local_time
    berlin = datetime.fromisoformat(local_time).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert abs(read_time(text, ZoneInfo("Europe/Berlin")) - berlin) < timedelta(milliseconds=1)


def test_a_time_without_seconds_needs_a_zone() -> None:
    assert read_time("2024-06-15 12:00") == "2024-06-15 12:00"
    assert read_time("2024-06-15 12:00", UTC) == NOON


@pytest.mark.parametrize(
    "value",
    [
        "15.06.2024 10:34:00",
        "6/15/2024 10:35:00 AM",
        "06/07/2024 10:35:00",
        "2024-06-15",
        "2024-06-31T10:00:00Z",
        "2024-06-15T25:00:00Z",
        "2024-06-15T24:00:01Z",
        "2024-06-15T10:60:00Z",
        "2024-06-15T10:00:00+25:00",
        "2024-06-15T10:00:00Z\nx",
        "2024615T100000Z",
        "2024-06-15 10:00:00 CEST",
        "15 Jun 2024 14:00:00",
        "31 Jun 2024 14:00:00 GMT",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T24:00:00Z",
        "٢٠٢٤-06-15T10:00:00Z",
        "1.7184528E9",
        "45458.4375",
        "0",
        "",
        0,
        99_999_999,
        -1_718_452_800,
        1e20,
        float("inf"),
        float("nan"),
        True,
        None,
        [1],
    ],
)
@pytest.mark.parametrize("zone", [None, UTC])
def test_a_time_that_could_be_misread_is_left_unchanged(value: Any, zone: Any) -> None:
    read = read_time(value, zone)
    assert read is value or read == value or value != value


@given(
    st.datetimes(datetime(1974, 1, 1), datetime(2999, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(["T", " ", "t"]),
    st.integers(0, 9),
)
def test_every_instant_is_read_to_the_millisecond(
    wall: datetime, offset: int, separator: str, decimals: int
) -> None:
    instant = wall.replace(tzinfo=timezone(timedelta(minutes=offset)))
    fraction = f".{wall.microsecond:06}000"[: decimals + 1] if decimals else ""
    text = f"{wall:%Y-%m-%d}{separator}{wall:%H:%M:%S}{fraction}{instant:%z}"
    kept = int((fraction[1:] + "000")[:3]) * 1000
    assert read_time(text) == instant.replace(microsecond=kept)
    epoch = instant.replace(microsecond=0)
    for unit in (1, 1_000, 1_000_000, 1_000_000_000):
        assert read_time(int(epoch.timestamp()) * unit) == epoch
