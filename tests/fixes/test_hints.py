"""The hints to a client whose fix was refused, word for word."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from locapi.errors import InvalidFix
from locapi.fixes import hints, relaxed, validation
from locapi.fixes.display import escaped, head
from tests.conftest import a_fix

NO_TIME = "must be a local date and time such as 2017-01-01 13:05:12.345"
NO_LAT = "must be a number from -90 to 90, such as 40.7128"
NO_SPEED = "must be a number 0 or more, such as 1.4"
NO_TEXT = "must be a string of 1 to 128 characters, such as a1"
ZONE = "send the local time without a zone: the position gives the zone"
SECONDS = "this looks like seconds since 1970: format it as local time"
UNKNOWN_SPEED = "calculate it from the previous fix, or send 0"


def refused(body: str) -> InvalidFix:
    with pytest.raises(InvalidFix) as caught:
        validation.parse(body.encode())
    return caught.value


def fault(field: str, value: Any) -> str:
    error = refused(json.dumps(a_fix(**{field: value})))
    [(name, [only])] = error.fields.items()
    assert str(error) == f"{name}: {only}"
    return str(error)


@pytest.mark.parametrize(
    ("sent", "hint"),
    [
        ("2017-01-01T13:05:12", "use a space instead of the T"),
        ("2017-01-01T13:05:12.345Z", f"use a space instead of the T; {ZONE}"),
        ("2017-01-01 13:05:12Z", ZONE),
        ("2017-01-01 13:05:12+01:00", ZONE),
        ("2017-01-01 13:05:12 -0500", ZONE),
        ("1483293912", SECONDS),
        ("1483293912345", "this looks like milliseconds since 1970: format it as local time"),
        ("2017-02-30 13:05:12", "the days of 2017-02 are 01 to 28"),
        ("2016-04-31 13:05:12", "the days of 2016-04 are 01 to 30"),
        ("2017-01-00 13:05:12", "the days of 2017-01 are 01 to 31"),
        ("2017-13-01 13:05:12", "months are 01 to 12"),
        ("0000-01-01 13:05:12", "there is no year 0000"),
        ("2017-01-01 24:00:00", "midnight is 00:00:00 of the next day"),
        ("2016-12-31 23:59:60", "seconds go up to 59: send a leap second as 59"),
        ("2017-01-01 01:05:12 PM", "use hours from 00 to 23 without AM or PM: set the locale"),
        ("01/02/2017 13:05:12", "write the date as YYYY-MM-DD"),
        ("2017/01/02 13:05:12", "write the date as YYYY-MM-DD"),
        ("2017-01-01", "the time of day is missing"),
        ("2017-01-01 13:05", "the seconds are missing"),
        ("2017-01-01 13:05:12,345", "use a point before the milliseconds"),
        ("2017-01-01 13:05:12.1234567", "send 1 to 6 digits after the point, such as .345"),
        ("2017-01-01 13:05:12.", "send 1 to 6 digits after the point, such as .345"),
        ("2017-1-1 3:5:12", "use two digits for month, day, hour, minute and second"),
        (" 2017-01-01 13:05:12", "remove the whitespace around it"),
    ],
)
def test_timestamp_gets_a_hint(sent: str, hint: str) -> None:
    assert fault("timestamp", sent) == f'timestamp: {NO_TIME} (sent: "{sent}"; {hint})'


@pytest.mark.parametrize(
    ("sent", "hint"),
    [
        (
            "2017-01-01T13:05:12",
            "add Z or an offset after the time, or use a space instead of the T",
        ),
        ("2017-01-01 13:05:12 Z", "remove the space before the zone"),
        ("2017-01-01 13:05:12 -0500", "remove the space before the zone"),
        ("2017-01-01T13:05:12 UTC", "write the zone as Z or as an offset such as +02:00"),
        ("2017-01-01T13:05:12+01", "write the zone as Z or as an offset such as +02:00"),
        ("2017-01-01T13:05Z", "the seconds are missing"),
        ("1483293912", "this looks like seconds since 1970: format it as a date and time"),
        ("2017-02-30T13:05:12Z", "the days of 2017-02 are 01 to 28"),
        ("2017-01-01 13:05", "the seconds are missing"),
        ("yesterday", ""),
    ],
)
def test_timestamp_gets_another_hint_where_instants_are_accepted(sent: str, hint: str) -> None:
    assert hints.time_advice(sent) == hint
    with pytest.raises(InvalidFix) as caught:
        relaxed.judge(a_fix(timestamp=sent))
    assert str(caught.value) == (
        "timestamp: must be a time such as 2017-01-01T18:05:12Z or, as local time, "
        f'2017-01-01 13:05:12 (sent: "{sent}"{hint and "; "}{hint})'
    )


def test_digits_of_another_script_get_a_hint() -> None:
    assert "use ASCII digits: set the locale en_US_POSIX" in fault(
        "timestamp", "٢٠١٧-01-01 13:05:12"
    )


@pytest.mark.parametrize(
    ("field", "sent", "rest"),
    [
        ("timestamp", 1483293912, f"{NO_TIME} (sent: 1483293912; {SECONDS})"),
        ("lat", "40.7", f'{NO_LAT} (sent: "40.7"; send it without quotes)'),
        (
            "lat",
            "40,7",
            f'{NO_LAT} (sent: "40,7"; send it without quotes and with a decimal point)',
        ),
        ("lat", "north", f'{NO_LAT} (sent: "north"; a string is not a number)'),
        ("lat", True, f"{NO_LAT} (sent: true)"),
        ("lat", None, f"{NO_LAT} (sent: null)"),
        ("lat", [1, 2], f"{NO_LAT} (sent: an array of 2)"),
        ("lat", {"lat": 1}, f"{NO_LAT} (sent: an object)"),
        ("lat", 10**400, f"{NO_LAT} (sent: a number too large)"),
        ("lat", -120.5, f"{NO_LAT} (sent: -120.5; are lat and long swapped?)"),
        (
            "lat",
            407128000,
            f"{NO_LAT} (sent: 407128000; send degrees, not ten-millionths of a degree)",
        ),
        ("lat", float("nan"), f"{NO_LAT} (sent: NaN; JSON has no NaN)"),
        ("speed", float("-inf"), f"{NO_SPEED} (sent: -Infinity; JSON has no -Infinity)"),
        (
            "speed",
            -1,
            f"{NO_SPEED} (sent: -1; on iOS this means that the speed is unknown: {UNKNOWN_SPEED})",
        ),
        ("speed", None, f"{NO_SPEED} (sent: null; if the speed is unknown, {UNKNOWN_SPEED})"),
        (
            "accuracy",
            -1,
            "must be a number 0 or more, such as 5 (sent: -1; on iOS this means that the position "
            "is invalid: do not send this fix)",
        ),
        ("user_id", "", f'{NO_TEXT} (sent: ""; this is empty)'),
        ("user_id", 7, f"{NO_TEXT} (sent: 7; send it in quotes)"),
        ("user_id", "u" * 129, f'{NO_TEXT} (sent: "{"u" * 40}..."; this has 129 characters)'),
        (
            "user_id",
            "a\tb",
            "must not contain control characters or lone surrogates "
            '(sent: "a\\tb"; character 2 is U+0009)',
        ),
        *((name, 1, "unknown field (remove it)") for name in ("altitude", "battery", "lng", "")),
    ],
)
def test_value_gets_a_hint(field: str, sent: Any, rest: str) -> None:
    assert fault(field, sent) == f"{field}: {rest}"


@pytest.mark.parametrize("again", ["40.7", "41"])
def test_repeated_key_is_a_fault_of_its_field(again: str) -> None:
    error = refused(f'{json.dumps(a_fix())[:-1]}, "lat": {again}}}')
    assert error.fields == {"lat": [f"{NO_LAT} (sent: twice; send it once)"]}


MISNAMED = {
    "timestamp": ["ts", "time", "timestmp"],
    "lat": ["latitude", "Lat", "lat "],
    "long": ["lng", "lon", "Longitude", "longtitude"],
    "accuracy": ["acuracy"],
    "speed": ["sped"],
    "user_id": ["userId"],
}


@pytest.mark.parametrize(
    ("name", "meant"), [(name, meant) for meant, names in MISNAMED.items() for name in names]
)
def test_misnamed_field_gets_the_right_name(name: str, meant: str) -> None:
    fix = a_fix()
    fix[name] = fix.pop(meant)
    assert refused(json.dumps(fix)).fields[name] == [f"unknown field (did you mean {meant}?)"]


@pytest.mark.parametrize(
    ("sent", "hint"),
    [
        ("2525-01-01 13:05:12", "use the Gregorian calendar and the locale en_US_POSIX"),
        ("9999-12-31 23:59:59", "use the Gregorian calendar and the locale en_US_POSIX"),
        ("2300-01-01 13:05:12", "in the future: check the device's clock and time zone"),
        ("1969-12-31 13:05:12", "before 1970: check the device's clock and calendar"),
        ("0029-01-01 13:05:12", "before 1970: check the device's clock and calendar"),
    ],
)
def test_time_out_of_range_gets_a_hint(api: FlaskClient, sent: str, hint: str) -> None:
    response = api.put("/location", json=a_fix(timestamp=sent))
    assert response.status_code == 400
    assert response.get_json()["error"]["fields"]["timestamp"][0].endswith(f"{hint})")
    assert f'(sent: "{sent}"; ' in response.get_json()["error"]["message"]


@given(st.text())
def test_shown_text_is_a_beginning_in_at_most_forty_ascii_characters(text: str) -> None:
    shown = escaped(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown.removesuffix("...")) <= 40
    assert not set("<>&") & set(shown)
    whole = shown if head(text) == text else shown.removesuffix("...")
    assert text.startswith(json.loads(f'"{whole}"'))


@given(
    st.text(alphabet="0123456789-:T .,Zzpm+/", max_size=30)
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.[0-9]{2}:[0-9]{2}:[0-9]{2}.?", fullmatch=True)
)
def test_any_text_like_a_time_is_accepted_or_refused_with_the_format(text: str) -> None:
    message = None
    try:
        validation.parse(json.dumps(a_fix(timestamp=text)).encode())
    except InvalidFix as error:
        message = str(error)
    assert message is None or message.startswith(f"timestamp: {NO_TIME} (sent: ")
