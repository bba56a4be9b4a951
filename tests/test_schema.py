"""Bytes to a valid fix, or why not."""

import json
import math
import sys
import time
import unicodedata
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from locapi import schema
from locapi.errors import InvalidFix
from locapi.schema import Fix
from tests.conftest import a_fix


def parse(**fields: Any) -> Fix:
    return schema.parse(json.dumps(a_fix(**fields)).encode())


def faults(**fields: Any) -> dict[str, list[str]]:
    with pytest.raises(InvalidFix) as caught:
        parse(**fields)
    return caught.value.fields


def test_a_valid_fix_is_read_whole() -> None:
    assert parse(timestamp="2017-07-30 00:18:08.919", lat=41, user_id="ü 1") == Fix(
        user_id="ü 1",
        local_time="2017-07-30 00:18:08.919",
        wall=datetime(2017, 7, 30, 0, 18, 8, 919_000),
        lat=41.0,
        long=-74.0,
        accuracy=5.0,
        speed=1.5,
    )


@pytest.mark.parametrize(
    "text", ["2017-07-30 00:18:08", "2017-07-30 00:18:08.0", "2017-07-30 00:18:08.000999"]
)
def test_a_timestamp_is_a_value_cut_to_milliseconds(text: str) -> None:
    assert parse(timestamp=text).wall == datetime(2017, 7, 30, 0, 18, 8)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2017-01-01",
        "2017-01-01T13:05:12",
        "2017-01-01 13:05",
        "2017-01-01 13:05:12Z",
        "2017-01-01 13:05:12+00:00",
        "2017-01-01 13:05:12.",
        "2017-01-01 13:05:12.1234567",
        "2017-01-01 13:05:12,5",
        "2017-01-01 13:05:12\n",
        " 2017-01-01 13:05:12",
        "2017-1-1 13:05:12",
        "2017-02-29 13:05:12",
        "2017-01-01 24:00:00",
        "2017-01-01 23:59:60",
        "0000-01-01 00:00:00",
        "٢٠١٧-01-01 13:05:12",
        "20170101 130512",
    ],
)
def test_a_timestamp_of_another_form_is_refused(text: str) -> None:
    assert list(faults(timestamp=text)) == ["timestamp"]


@pytest.mark.parametrize("name", ["lat", "long", "accuracy", "speed"])
@pytest.mark.parametrize("value", [True, False, "40.7", "", None, [], {}, [1.0], 10**400])
def test_what_is_no_finite_number_is_refused(name: str, value: Any) -> None:
    assert list(faults(**{name: value})) == [name]


@pytest.mark.parametrize("name", ["lat", "long", "accuracy", "speed"])
@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "01", "1."])
def test_a_number_literal_that_is_not_finite_json_is_refused(name: str, literal: str) -> None:
    body = json.dumps(a_fix(**{name: 0.125})).replace("0.125", literal)
    with pytest.raises(InvalidFix):
        schema.parse(body.encode())


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("lat", -90, 90), ("long", -180, 180), ("accuracy", 0, 1.7e308), ("speed", 0, 1.7e308)],
)
def test_a_number_may_reach_its_bounds_and_no_further(name: str, least: float, most: float) -> None:
    for inside in (least, most):
        assert getattr(parse(**{name: inside}), name) == inside
    assert list(faults(**{name: math.nextafter(least, -math.inf)})) == [name]
    if most < 1e300:
        assert list(faults(**{name: math.nextafter(most, math.inf)})) == [name]


@pytest.mark.parametrize(
    "user_id",
    ["", "x" * 129, "a\tb", "a\n", "\x00", "\x7f", "\x85", "\ud800", 7, None, True, ["a"]],
)
def test_a_user_id_that_breaks_a_rule_is_refused(user_id: Any) -> None:
    assert list(faults(user_id=user_id)) == ["user_id"]


def test_control_characters_and_lone_surrogates_are_those_of_unicode() -> None:
    refused = {code for code in range(sys.maxunicode + 1) if schema._UNPRINTABLE.search(chr(code))}
    assert refused == {
        code
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cs")
    }


@pytest.mark.parametrize("user_id", ["x", "x" * 128, "😀" * 128, "a b", "$a.b", "null"])
def test_a_user_id_may_be_any_text_up_to_128_characters(user_id: str) -> None:
    assert parse(user_id=user_id).user_id == user_id


@pytest.mark.parametrize("name", list(a_fix()))
def test_every_field_is_required(name: str) -> None:
    fix = a_fix()
    del fix[name]
    with pytest.raises(InvalidFix) as caught:
        schema.parse(json.dumps(fix).encode())
    assert caught.value.fields == {name: [f"required field ({schema._WANTED[name]})"]}


def test_an_unknown_field_is_refused() -> None:
    assert faults(altitude=3) == {"altitude": ["unknown field (leave it out)"]}


def test_every_fault_is_named_at_once() -> None:
    assert set(faults(lat=91, long="x", user_id="", altitude=3)) == {
        "lat",
        "long",
        "user_id",
        "altitude",
    }


@pytest.mark.parametrize("inner", ["[%s]", '{"a":%s}'])
@pytest.mark.parametrize("depth", [1, 100, 490, 510, 700, 900, 980, 1200])
@pytest.mark.parametrize("place", ['"lat":', '"user_id":', '"timestamp":', '"deeper":'])
def test_a_value_nested_to_any_depth_is_refused(place: str, depth: int, inner: str) -> None:
    opening, closing = inner.split("%s")
    body = f"{{{place}{opening * depth}1{closing * depth}}}".encode()
    assert len(body) <= schema.MAX_BODY_BYTES
    with pytest.raises(InvalidFix):
        schema.parse(body)


def test_as_many_unknown_fields_as_a_body_holds_are_refused_at_once() -> None:
    body = "{" + ",".join(f'"{number:x}":1' for number in range(930)) + "}"
    assert 7_000 < len(body) <= schema.MAX_BODY_BYTES
    start = time.perf_counter()
    with pytest.raises(InvalidFix, match="has 930 fields, where a fix has 6"):
        schema.parse(body.encode())
    assert time.perf_counter() - start < 0.1


def test_the_names_of_unknown_fields_are_told_short_and_as_text_that_any_decoder_reads() -> None:
    told = faults(**{"\ud800": 1, "ü\n": 2, "x" * 5000: 3})
    names = ("\\ud800", "ü\n", "x" * 40 + "…")
    assert told == {name: ["unknown field (leave it out)"] for name in names}
    assert json.loads(orjson.dumps(told)) == told


def test_the_message_tells_three_faults_and_how_many_more() -> None:
    with pytest.raises(InvalidFix) as caught:
        parse(lat=91, long=-181, speed="1.4", user_id=7, altitude=3)
    assert str(caught.value) == (
        "altitude: unknown field (leave it out); "
        "lat: must be a number from -90 to 90, such as 40.7128 "
        "(sent: 91; are lat and long swapped?); "
        "long: must be a number from -180 to 180, such as -74.006 (sent: -181); "
        "and 2 more in fields"
    )


@pytest.mark.parametrize("sign", ["x", "\x00", "\ud800", "😀", '"', "\\", "<", "\u202e"])
def test_an_answer_is_small_ascii_and_bears_no_more_than_a_pinch_of_what_was_sent(
    sign: str,
) -> None:
    long = sign * 120
    fields = {f"{sign * 60}{number}": long for number in range(14)}
    with pytest.raises(InvalidFix) as caught:
        schema.parse(json.dumps({**dict.fromkeys(a_fix(), long * 2), **fields}).encode()[:8192])
    answer = json.dumps({"message": str(caught.value), "fields": caught.value.fields})
    assert len(answer) < 4_096
    assert sign * 41 not in json.loads(answer)["message"]


@pytest.mark.parametrize("digits", [400, 4_300, 4_301, 7_900])
def test_a_number_of_any_length_is_told_to_be_out_of_bounds(digits: int) -> None:
    with pytest.raises(InvalidFix) as caught:
        schema.parse(VALID.replace("40.7", "9" * digits).encode())
    assert list(caught.value.fields) == ["lat"]


VALID = json.dumps(a_fix())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"3",
        b'"fix"',
        b"true",
        b"{",
        VALID[:-1].encode(),
        VALID.encode() + b"x",
        VALID.encode() + VALID.encode(),
        b"\xff" + VALID.encode(),
        VALID.replace("a1", "\xff").encode("latin-1"),
        b"\xef\xbb\xbf" + VALID.encode(),
        VALID.encode("utf-16"),
        (VALID[:-1] + ', "lat": 40.7}').encode(),
        (VALID[:-1] + f', "deep": {"[" * 1000}{"]" * 1000}}}').encode(),
        ("[" * 1000 + "]" * 1000).encode(),
        (VALID[:-1] + f', "lat": {{"lat": {"[" * 400}{"]" * 400}}}}}').encode(),
        VALID.encode() + b" " * schema.MAX_BODY_BYTES,
        VALID.replace("40.7", "1" * 5000).encode(),
        (VALID[:-1] + ', "\\ud800": 1}').encode(),
    ],
)
def test_a_body_that_is_no_single_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidFix):
        schema.parse(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*a_fix(), "x"]), json_values))
@example({"lat": 10**400})
def test_whatever_json_comes_it_is_a_fix_or_refused(fields: dict[str, Any]) -> None:
    body = json.dumps({**a_fix(), **fields}).encode()
    try:
        fix = schema.parse(body)
    except InvalidFix as error:
        json.dumps(error.fields)
    else:
        assert all(map(math.isfinite, (fix.lat, fix.long, fix.accuracy, fix.speed)))


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
def test_a_document_passes_if_cerberus_finds_no_fault(
    fields: dict[str, Any], left_out: set[str]
) -> None:
    document = {**a_fix(lat=41.0), **fields}
    for name in left_out - fields.keys():
        del document[name]
    cerberus = schema._FixValidator(schema.RULES, require_all=True)
    assert schema._keeps_rules(document) == cerberus.validate(document, normalize=False)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_bytes_come_they_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidFix):
        schema.parse(body)
