"""What a refused fix teaches, word for word."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from locapi import hints, schema
from locapi.errors import InvalidFix
from tests.conftest import a_fix

NO_TIME = "must be a local date and time such as 2017-01-01 13:05:12.345"
NO_LAT = "must be a number from -90 to 90, such as 40.7128"
NO_SPEED = "must be a number 0 or more, such as 1.4"
NO_TEXT = "must be a string of 1 to 128 characters, such as a1"
ZONE = "leave out the zone, and send the local time: the zone comes from the position"


def told(field: str, value: Any) -> str:
    with pytest.raises(InvalidFix) as caught:
        schema.parse(json.dumps(a_fix(**{field: value})).encode())
    [(name, [fault])] = caught.value.fields.items()
    assert str(caught.value) == f"{name}: {fault}"
    return str(caught.value)


@pytest.mark.parametrize(
    ("sent", "advice"),
    [
        ("2017-01-01T13:05:12", "put a space where the T is"),
        ("2017-01-01T13:05:12.345Z", f"put a space where the T is; {ZONE}"),
        ("2017-01-01 13:05:12Z", ZONE),
        ("2017-01-01 13:05:12+01:00", ZONE),
        ("2017-01-01 13:05:12 -0500", ZONE),
        ("1483293912", "it looks like seconds since 1970: format the local time"),
        ("1483293912345", "it looks like milliseconds since 1970: format the local time"),
        ("2017-02-30 13:05:12", "2017-02 has days 01 to 28"),
        ("2016-04-31 13:05:12", "2016-04 has days 01 to 30"),
        ("2017-01-00 13:05:12", "2017-01 has days 01 to 31"),
        ("2017-13-01 13:05:12", "months are 01 to 12"),
        ("0000-01-01 13:05:12", "there is no year 0000"),
        ("2017-01-01 24:00:00", "midnight is 00:00:00 of the next day"),
        ("2016-12-31 23:59:60", "seconds end at 59: send a leap second as 59"),
        ("2017-01-01 01:05:12 PM", "count hours from 00 to 23, without AM or PM: fix the locale"),
        ("01/02/2017 13:05:12", "write the date as YYYY-MM-DD"),
        ("2017/01/02 13:05:12", "write the date as YYYY-MM-DD"),
        ("2017-01-01", "the time of day is missing"),
        ("2017-01-01 13:05", "the seconds are missing"),
        ("2017-01-01 13:05:12,345", "put a point before the milliseconds"),
        ("2017-01-01 13:05:12.1234567", "send 1 to 6 digits after the point, such as .345"),
        ("2017-01-01 13:05:12.", "send 1 to 6 digits after the point, such as .345"),
        ("2017-1-1 3:5:12", "write two digits for month, day, hour, minute and second"),
        (" 2017-01-01 13:05:12", "leave out the blanks around it"),
    ],
)
def test_a_timestamp_is_told_what_to_change(sent: str, advice: str) -> None:
    assert told("timestamp", sent) == f'timestamp: {NO_TIME} (sent: "{sent}"; {advice})'


def test_a_timestamp_that_is_a_number_is_told_to_be_formatted() -> None:
    assert told("timestamp", 1483293912) == (
        f"timestamp: {NO_TIME} "
        "(sent: 1483293912; it looks like seconds since 1970: format the local time)"
    )


def test_digits_of_another_script_are_told_the_locale() -> None:
    assert "format it in the locale en_US_POSIX" in told("timestamp", "٢٠١٧-01-01 13:05:12")


@pytest.mark.parametrize(
    ("field", "sent", "rest"),
    [
        ("lat", "40.7", f'{NO_LAT} (sent: "40.7"; send it without quotes)'),
        ("lat", "40,7", f'{NO_LAT} (sent: "40,7"; send it without quotes, with a point)'),
        ("lat", "north", f'{NO_LAT} (sent: "north"; a string is no number)'),
        ("lat", True, f"{NO_LAT} (sent: true)"),
        ("lat", None, f"{NO_LAT} (sent: null)"),
        ("lat", [1, 2], f"{NO_LAT} (sent: an array of 2)"),
        ("lat", {"lat": 1}, f"{NO_LAT} (sent: an object)"),
        ("lat", 10**400, f"{NO_LAT} (sent: a number too large)"),
        ("lat", -120.5, f"{NO_LAT} (sent: -120.5; are lat and long swapped?)"),
        ("lat", 407128000, f"{NO_LAT} (sent: 407128000; send degrees, not their ten-millionths)"),
        ("lat", float("nan"), f"{NO_LAT} (sent: NaN; JSON has no NaN)"),
        ("speed", float("-inf"), f"{NO_SPEED} (sent: -Infinity; JSON has no -Infinity)"),
        (
            "speed",
            -1,
            f"{NO_SPEED} (sent: -1; below 0 is iOS's sign of an unknown speed: "
            "work it out from the fix before, or send 0)",
        ),
        (
            "speed",
            None,
            f"{NO_SPEED} (sent: null; null is no sign of an unknown speed: "
            "work it out from the fix before, or send 0)",
        ),
        (
            "accuracy",
            -1,
            "must be a number 0 or more, such as 5 (sent: -1; below 0 is iOS's sign of an "
            "invalid position: do not send this fix)",
        ),
        ("user_id", "", f'{NO_TEXT} (sent: ""; it is empty)'),
        ("user_id", 7, f"{NO_TEXT} (sent: 7; send it in quotes)"),
        ("user_id", "u" * 129, f'{NO_TEXT} (sent: "{"u" * 40}..."; 129 characters)'),
        (
            "user_id",
            "a\tb",
            "must have no control character and no lone surrogate "
            '(sent: "a\\tb"; character 2 is U+0009)',
        ),
    ],
)
def test_a_value_is_told_what_is_wrong_with_it(field: str, sent: Any, rest: str) -> None:
    assert told(field, sent) == f"{field}: {rest}"


@pytest.mark.parametrize("again", ["40.7", "41"])
def test_a_key_given_twice_is_named(again: str) -> None:
    with pytest.raises(InvalidFix) as caught:
        schema.parse(f'{json.dumps(a_fix())[:-1]}, "lat": {again}}}'.encode())
    assert caught.value.fields == {"lat": [f"{NO_LAT} (sent: twice; send it once)"]}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lng", "long"),
        ("lon", "long"),
        ("Longitude", "long"),
        ("latitude", "lat"),
        ("longtitude", "long"),
        ("Lat", "lat"),
        ("lat ", "lat"),
        ("ts", "timestamp"),
        ("time", "timestamp"),
        ("timestmp", "timestamp"),
        ("userId", "user_id"),
        ("acuracy", "accuracy"),
        ("sped", "speed"),
    ],
)
def test_a_field_by_another_name_is_told_the_right_one(name: str, meant: str) -> None:
    fix = a_fix()
    fix[name] = fix.pop(meant)
    with pytest.raises(InvalidFix) as caught:
        schema.parse(json.dumps(fix).encode())
    assert caught.value.fields[name] == [f"unknown field (did you mean {meant}?)"]
    assert caught.value.fields[meant] == [f"required field ({schema._WANTED[meant]})"]


@pytest.mark.parametrize("name", ["altitude", "heading", "battery", "lng", ""])
def test_a_field_too_many_is_told_to_be_left_out(name: str) -> None:
    assert told(name, 1) == f"{hints.escaped(name)}: unknown field (leave it out)"


@pytest.mark.parametrize(
    ("sent", "advice"),
    [
        ("2525-01-01 13:05:12", "in the Gregorian calendar: use the locale en_US_POSIX"),
        ("9999-12-31 23:59:59", "in the Gregorian calendar: use the locale en_US_POSIX"),
        ("2300-01-01 13:05:12", "in the future: see that the device's clock and zone are right"),
        ("1969-12-31 13:05:12", "before 1970: see that the device's clock and calendar are right"),
        ("0029-01-01 13:05:12", "before 1970: see that the device's clock and calendar are right"),
    ],
)
def test_a_time_out_of_range_is_told_why(api: FlaskClient, sent: str, advice: str) -> None:
    answer = api.put("/location", json=a_fix(timestamp=sent))
    assert answer.status_code == 400
    assert answer.get_json()["error"]["fields"]["timestamp"][0].endswith(f"{advice})")
    assert f'(sent: "{sent}"; ' in answer.get_json()["error"]["message"]


@given(st.text())
def test_what_is_shown_of_a_text_is_its_beginning_in_forty_ascii_characters(text: str) -> None:
    shown = hints.escaped(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown.removesuffix("...")) <= 40
    assert not set("<>&") & set(shown)
    whole = shown if hints.head(text) == text else shown.removesuffix("...")
    assert text.startswith(json.loads(f'"{whole}"'))


@given(
    st.text(alphabet="0123456789-:T .,Zzpm+/", max_size=30)
    | st.from_regex(f"{hints._EXACT}.?", fullmatch=True)
)
def test_any_time_of_a_kind_is_taken_or_told_the_form(text: str) -> None:
    refused = None
    try:
        schema.parse(json.dumps(a_fix(timestamp=text)).encode())
    except InvalidFix as error:
        refused = str(error)
    assert refused is None or refused.startswith(f"timestamp: {NO_TIME} (sent: ")
