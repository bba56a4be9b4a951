"""A body is exactly one valid fix, or it is refused with everything that is wrong with it."""

import json
import math
import re
import sys
import time
import unicodedata
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from locapi.errors import InvalidFix
from locapi.fixes import strict_json, validation
from locapi.fixes.averages import AVERAGED, OPTIONAL
from locapi.fixes.faults import find_faults
from locapi.fixes.rules import UNPRINTABLE
from locapi.fixes.validation import Fix
from tests.conftest import a_fix
from tests.support.strategies import json_values

VALID = json.dumps(a_fix())


def parse(**fields: Any) -> Fix:
    return validation.parse(json.dumps(a_fix(**fields)).encode())


def refused(body: str | bytes) -> InvalidFix:
    with pytest.raises(InvalidFix) as caught:
        validation.parse(body.encode() if isinstance(body, str) else body)
    return caught.value


def faults(**fields: Any) -> dict[str, list[str]]:
    return refused(json.dumps(a_fix(**fields))).fields


def test_valid_fix_is_read_whole() -> None:
    assert parse(timestamp="2017-07-30 00:18:08.919", lat=41, user_id="ü 1") == Fix(
        user_id="ü 1",
        local_time="2017-07-30 00:18:08.919",
        wall=datetime(2017, 7, 30, 0, 18, 8, 919_000),
        lat=41.0,
        long=-74.0,
        accuracy=5.0,
        speed=1.5,
    )


@pytest.mark.parametrize("digits", ["", ".0", ".000999"])
def test_timestamp_is_cut_to_milliseconds(digits: str) -> None:
    assert parse(timestamp=f"2017-07-30 00:18:08{digits}").wall == datetime(2017, 7, 30, 0, 18, 8)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("lat", -90, 90), ("long", -180, 180), ("accuracy", 0, 1.7e308), ("speed", 0, 1.7e308)],
)
def test_number_may_reach_its_bounds_and_no_further(name: str, least: float, most: float) -> None:
    for inside in (least, most):
        assert getattr(parse(**{name: inside}), name) == inside
    assert list(faults(**{name: math.nextafter(least, -math.inf)})) == [name]
    if most < 1e300:
        assert list(faults(**{name: math.nextafter(most, math.inf)})) == [name]


def test_unprintable_characters_are_those_of_unicode() -> None:
    unprintable = re.compile(f"[{UNPRINTABLE}]")
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        assert bool(unprintable.search(chr(code))) == (category in ("Cc", "Cs"))


@pytest.mark.parametrize("user_id", ["x", "x" * 128, "😀" * 128, "a b", "$a.b", "null"])
def test_user_id_may_be_any_text_of_up_to_128_characters(user_id: str) -> None:
    assert parse(user_id=user_id).user_id == user_id
    assert validation.user_id_faults(user_id) == []


def test_user_id_alone_is_held_to_the_same_rule() -> None:
    assert validation.user_id_faults("a\tb") == faults(user_id="a\tb")["user_id"]


@pytest.mark.parametrize(
    "body",
    [
        *("", "null", "[]", "3", '"fix"', "true", "{", VALID[:-1], VALID + "x", VALID + VALID),
        *(VALID.replace("40.7", number) for number in ("01", "1.", "1" * 5000)),
        VALID[:-1] + ', "lat": 40.7}',
        VALID[:-1] + ', "\\ud800": 1}',
        VALID + " " * validation.MAX_BODY_BYTES,
        b"\xff" + VALID.encode(),
        VALID.replace("a1", "\xff").encode("latin-1"),
        b"\xef\xbb\xbf" + VALID.encode(),
        VALID.encode("utf-16"),
    ],
)
def test_body_that_is_not_one_valid_object_is_refused(body: str | bytes) -> None:
    refused(body)


def judged(document: dict[str, Any]) -> tuple[Fix | None, dict[str, list[str]]]:
    try:
        return validation.judge(document), {}
    except InvalidFix as error:
        return None, error.fields


near_values = st.one_of(
    json_values,
    st.sampled_from([-0.0, 90.0, math.nextafter(90, 91), -180.0, math.inf, math.nan, 1, True]),
    st.sampled_from(["", "u" * 128, "u" * 129, "a\x00", "\ud800"]),
    st.sampled_from(["2017-01-01 00:00:00", "2017-02-29 00:00:00", "2017-01-01 00:00:00.1234567"]),
)


@given(
    st.dictionaries(st.sampled_from([*a_fix(), "x"]), near_values),
    st.sets(st.sampled_from([*a_fix()])),
)
@example({"lat": 10**400}, set())
def test_a_fix_is_what_cerberus_finds_no_fault_with(
    changed: dict[str, Any], left_out: set[str]
) -> None:
    """The comparisons that accept a fix and the schema for Cerberus are two implementations."""
    fields = {**a_fix(), **changed}
    for name in left_out - changed.keys():
        del fields[name]
    decoded = strict_json.decode(json.dumps(fields).encode())
    # A number in a file of another format may be NaN, which JSON does not have.
    not_json = {name: value for name, value in changed.items() if value != value}
    for document in (decoded, {**decoded, **not_json}):
        found = find_faults(document)
        fix, refusal = judged(document)
        assert (fix is None) == bool(found)
        if fix is None:
            assert refusal == found == json.loads(orjson.dumps(found))
        else:
            assert all(math.isfinite(getattr(fix, name)) for name in AVERAGED)


@pytest.mark.parametrize("name", list(a_fix()))
def test_every_field_is_required(name: str) -> None:
    found = refused(json.dumps({key: value for key, value in a_fix().items() if key != name}))
    [fault] = found.fields.pop(name)
    assert found.fields == {}
    assert fault.startswith("required field (must be a ")


@pytest.mark.parametrize("unknown", [{}, {"speed": None}, {"speed": -1.0}, {"speed": -5e-324}])
def test_unknown_speed_and_accuracy_become_none(unknown: dict[str, Any]) -> None:
    known = {name: value for name, value in a_fix().items() if name not in OPTIONAL}
    fix = validation.judge_with_unknowns({**known, **unknown})
    assert (fix.accuracy, fix.speed) == (None, None)
    assert validation.judge_with_unknowns(a_fix()) == validation.judge(a_fix())


@pytest.mark.parametrize(
    "broken", [{"accuracy": -1.0}, {"speed": "-1"}, {"speed": -math.inf}, {"speed": True}]
)
def test_only_an_absent_value_and_a_speed_below_zero_are_unknown(broken: dict[str, Any]) -> None:
    with pytest.raises(InvalidFix) as caught:
        validation.judge_with_unknowns(a_fix(**broken))
    assert caught.value.fields.keys() == broken.keys()


def test_every_fault_is_named_at_once() -> None:
    assert list(faults(lat=91, long="x", user_id="", altitude=3)) == [
        *("altitude", "lat", "long", "user_id")
    ]


def test_message_lists_three_faults_and_counts_the_others() -> None:
    assert str(refused(json.dumps(a_fix(lat=91, long=-181, speed="1", user_id=7, x=3)))) == (
        "lat: must be a number from -90 to 90, such as 40.7128 "
        "(sent: 91; are lat and long swapped?); "
        "long: must be a number from -180 to 180, such as -74.006 (sent: -181); "
        'speed: must be a number 0 or more, such as 1.4 (sent: "1"; send it without quotes); '
        "and 2 more in fields"
    )


def test_many_unknown_fields_are_refused_at_once() -> None:
    body = "{" + ",".join(f'"{number:x}":1' for number in range(930)) + "}"
    assert 7_000 < len(body) <= validation.MAX_BODY_BYTES
    start = time.thread_time()
    assert str(refused(body)).startswith("the body has 930 fields, but a fix has 6")
    assert time.thread_time() - start < 0.1


def test_names_of_unknown_fields_are_short_and_can_be_encoded() -> None:
    found = faults(**{"\ud800": 1, "ü\n": 2, "x" * 5000: 3})
    names = ("\\ud800", "ü\n", "x" * 40 + "…")
    assert found == {name: ["unknown field (remove it)"] for name in names}
    assert json.loads(orjson.dumps(found)) == found


@pytest.mark.parametrize("sign", ["x", "\x00", "\ud800", "😀", '"', "\\", "<", "\u202e"])
def test_error_is_small_and_repeats_little_of_what_was_sent(sign: str) -> None:
    fields = {f"{sign * 60}{number}": sign * 120 for number in range(14)}
    body = json.dumps({**dict.fromkeys(a_fix(), sign * 240), **fields}).encode()[:8192]
    error = refused(body)
    assert len(json.dumps({"message": str(error), "fields": error.fields})) < 4_096
    assert sign * 41 not in str(error)
