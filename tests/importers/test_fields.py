"""Values of files become fields: names, units, numbers as text, and what means unknown."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locapi.importers.fields import FieldMapping
from tests.support.importing import DEFAULTS, MINE

UNKNOWN = [None, "", " ", "NaN", "nan", "null", "N/A", r"\N", math.nan]


@pytest.mark.parametrize("value", UNKNOWN)
@pytest.mark.parametrize("field", ["speed", "accuracy", "user_id"])
def test_a_value_that_means_unknown_counts_as_missing(field: str, value: Any) -> None:
    assert MINE.pick({field: value})[field] == DEFAULTS[field]
    assert field not in FieldMapping().pick({field: value})


@pytest.mark.parametrize("field", ["timestamp", "lat", "long"])
def test_a_position_or_time_that_is_unknown_has_no_default(field: str) -> None:
    assert not any(field in MINE.pick({field: value}) for value in ("", "N/A", None))


@pytest.mark.parametrize("speed", [-1, -1.0, "-1", -0.1])
def test_a_negative_speed_is_unknown_but_a_negative_accuracy_is_kept(speed: Any) -> None:
    fields = MINE.pick({"speed": speed, "accuracy": -1})
    assert (fields["speed"], fields["accuracy"]) == (0.0, -1.0)


@pytest.mark.parametrize(
    ("unit", "speed"), [("m/s", 10), ("km/h", 36), ("mph", 22.369362920544), ("knots", 19.43844492)]
)
def test_a_speed_is_converted_to_metres_a_second_but_a_default_is_not(
    unit: str, speed: float
) -> None:
    mapping = FieldMapping(defaults={"speed": 3.0}, speed_unit=unit)
    assert mapping.pick({"speed": speed})["speed"] == pytest.approx(10)
    assert mapping.pick({})["speed"] == 3


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5.0),
        ("5", 5.0),
        (" -74. ", -74.0),
        ("407e-1", 40.7),
        ("1_0", "1_0"),
        ("1,5", "1,5"),
        ("0x10", "0x10"),
        ("\u0665", "\u0665"),
        ("inf", "inf"),
        ("1e999", "1e999"),
        ("1" * 200, "1" * 200),
        (10**400, 10**400),
        (True, True),
        ([1], [1]),
    ],
)
def test_a_number_may_be_text_and_other_text_is_left_to_the_rules(value: Any, number: Any) -> None:
    assert FieldMapping().pick({"lat": value}) == {"lat": number}


def test_decimal_commas_are_read_where_a_file_has_them() -> None:
    mapping = FieldMapping().decimal_commas()
    assert mapping.pick({"lat": "40,7", "long": "-74.5"}) == {"lat": 40.7, "long": -74.5}


@pytest.mark.parametrize(
    ("value", "user_id"),
    [(-970000001, "-970000001"), (2**63, str(2**63)), (7.0, "7"), (7.5, 7.5), (True, True)],
)
def test_a_whole_number_is_a_user(value: Any, user_id: Any) -> None:
    assert FieldMapping().pick({"user_id": value}) == {"user_id": user_id}


@given(st.floats(-1e300, 1e300))
def test_numbers_are_read_as_they_were_written(number: float) -> None:
    assert FieldMapping().pick({"lat": repr(number)})["lat"] == number


def test_only_named_columns_and_defaults_become_fields() -> None:
    mapping = FieldMapping({"lat": "latitude"}, DEFAULTS)
    assert mapping.pick({"latitude": "1", "lat": 2, "x": 3, "speed": 4}) == {
        "lat": 1.0,
        **DEFAULTS,
        "speed": 4.0,
    }
