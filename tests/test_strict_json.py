"""Where and why a body is no JSON object."""

import json

import pytest

from locapi import hints, schema, strict_json
from locapi.errors import InvalidFix
from tests.conftest import a_fix

VALID = json.dumps({"lat": 40.7, "user_id": "a1"})
SUCH = f"send a fix such as {json.dumps(hints.A_FIX)}"


def test_an_object_is_read_with_its_numbers_as_floats() -> None:
    assert strict_json.decode(VALID.encode()) == {"lat": 40.7, "user_id": "a1"}
    assert type(strict_json.decode(b'{"lat": 40}')["lat"]) is float


@pytest.mark.parametrize(
    ("body", "place", "advice"),
    [
        (VALID[:-1], "line 1, column 30", "found its end; was it cut off?"),
        (VALID[:-3], "line 1, column 26", "was it cut off?"),
        (VALID + VALID, "line 1, column 31", 'found "{\\"lat\\": 40.7, \\"us..."; send one fix'),
        (f"{VALID}\n{VALID}", "line 2, column 1", "send one fix a request"),
        (VALID.replace('"', "'"), "line 1, column 2", "JSON takes double quotes"),
        (VALID[:-1] + ",}", "line 1, column", "there is a comma too many"),
        (VALID.replace("40", "040"), "line 1, column 10", "a number has no leading zero"),
        (f"\ufeff{VALID}", "line 1, column 1", "leave out the byte order mark"),
        (VALID.replace("a1", "a\n1"), "line 1, column 28", "escape it with a backslash"),
        (VALID.replace("40.7", ""), "line 1, column 9", 'found ", \\"user_id'),
        ("lat=40.7&long=3", "line 1, column 1", f"send JSON, not a form: {SUCH}"),
        ("<b>", "line 1, column 1", 'found "\\u003cb\\u003e"'),
        ("", "", f"it is empty; {SUCH}"),
        (" \n", "", f"it is empty; {SUCH}"),
    ],
)
def test_broken_json_is_told_where_and_what_was_found(body: str, place: str, advice: str) -> None:
    with pytest.raises(InvalidFix) as caught:
        strict_json.decode(body.encode())
    assert str(caught.value).startswith(f"the body is not JSON ({place}")
    assert advice in str(caught.value)
    assert caught.value.fields == {}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"[{}, {}]", "(sent: an array of 2; send one fix a request, without brackets)"),
        (b"null", f"(sent: null; {SUCH})"),
        (b"3", f"(sent: 3; {SUCH})"),
        (b"NaN", f"(sent: NaN; {SUCH})"),
        (json.dumps(VALID).encode(), "is the JSON encoded twice?)"),
    ],
)
def test_what_is_no_object_is_told_so(body: bytes, told: str) -> None:
    with pytest.raises(InvalidFix) as caught:
        strict_json.decode(body)
    assert str(caught.value).startswith("the body is not a JSON object (sent: ")
    assert str(caught.value).endswith(told)


def test_the_byte_that_is_no_utf_8_is_named() -> None:
    with pytest.raises(InvalidFix) as caught:
        strict_json.decode(VALID.replace("a1", "\xe4").encode("latin-1"))
    assert str(caught.value) == (
        "the body is not UTF-8 (byte 27 is 0xe4; encode the JSON as UTF-8)"
    )


def test_depth_and_size_are_told() -> None:
    for body, told in (
        (b"[" * 5_000, "the body is nested too deep (a fix is one flat object)"),
        (
            b" " * 8_193,
            "the body has more than 8192 bytes"
            " (a fix takes less than 1,000: send one fix a request)",
        ),
    ):
        with pytest.raises(InvalidFix) as caught:
            schema.parse(body)
        assert str(caught.value) == told


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("name", list(a_fix()))
def test_no_field_takes_what_json_does_not_have(name: str, literal: str) -> None:
    body = json.dumps(a_fix(**{name: 0.125})).replace("0.125", literal)
    with pytest.raises(InvalidFix) as caught:
        schema.parse(body.encode())
    assert list(caught.value.fields) == [name]
