"""A body that is not a JSON object is refused with the place and a hint."""

import json

import pytest

from locapi.errors import InvalidFix
from locapi.fixes import strict_json, validation
from locapi.fixes.hints import A_FIX
from tests.conftest import a_fix

VALID = json.dumps({"lat": 40.7, "user_id": "a1"})
SUCH = f"send a fix such as {json.dumps(A_FIX)}"


def refused(body: str | bytes) -> str:
    with pytest.raises(InvalidFix) as caught:
        validation.parse(body.encode() if isinstance(body, str) else body)
    assert caught.value.fields == {}
    return str(caught.value)


def test_numbers_are_decoded_to_floats() -> None:
    assert strict_json.decode(VALID.encode()) == {"lat": 40.7, "user_id": "a1"}
    assert type(strict_json.decode(b'{"lat": 40}')["lat"]) is float


@pytest.mark.parametrize(
    ("body", "place", "hint"),
    [
        (VALID[:-1], "line 1, column 30", "found its end; was it cut off?"),
        (VALID[:-3], "line 1, column 26", "was it cut off?"),
        (VALID + VALID, "line 1, column 31", 'found "{\\"lat\\": 40.7, \\"us..."; send one fix'),
        (f"{VALID}\n{VALID}", "line 2, column 1", "send one fix per request"),
        (VALID.replace('"', "'"), "line 1, column 2", "use double quotes"),
        (VALID[:-1] + ",}", "line 1, column", "remove the extra comma"),
        (VALID.replace("40", "040"), "line 1, column 10", "remove the leading zero"),
        (f"\ufeff{VALID}", "line 1, column 1", "remove the byte order mark"),
        (VALID.replace("a1", "a\n1"), "line 1, column 28", "escape it with a backslash"),
        (VALID.replace("40.7", ""), "line 1, column 9", 'found ", \\"user_id'),
        ("lat=40.7&long=3", "line 1, column 1", f"send JSON, not a form: {SUCH}"),
        ("<b>", "line 1, column 1", 'found "\\u003cb\\u003e"'),
        ("", "", f"it is empty; {SUCH}"),
        (" \n", "", f"it is empty; {SUCH}"),
    ],
)
def test_malformed_json_is_refused_with_place_and_hint(body: str, place: str, hint: str) -> None:
    message = refused(body)
    assert message.startswith(f"the body is not JSON ({place}")
    assert hint in message


@pytest.mark.parametrize(
    ("body", "rest"),
    [
        ("[{}, {}]", "(sent: an array of 2; send one fix per request, without brackets)"),
        ("null", f"(sent: null; {SUCH})"),
        ("3", f"(sent: 3; {SUCH})"),
        ("NaN", f"(sent: NaN; {SUCH})"),
        (json.dumps("{" + "x" * 50), f'(sent: "{{{"x" * 39}..."; is the JSON encoded twice?)'),
    ],
)
def test_other_json_values_are_refused(body: str, rest: str) -> None:
    assert refused(body) == f"the body is not a JSON object {rest}"


def test_invalid_utf8_is_refused_with_the_byte() -> None:
    assert refused(VALID.replace("a1", "\xe4").encode("latin-1")) == (
        "the body is not UTF-8 (byte 27 is 0xe4; encode the JSON as UTF-8)"
    )


@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("depth", [101, 150, 900, 1_000, 1_300])
def test_depth_is_limited(start: str, end: str, depth: int) -> None:
    """Whatever the Python version allows."""
    too_deep = "the body is nested too deeply (a fix is one flat object)"
    assert refused(start * depth + "1" + end * depth) == too_deep
    assert refused(f'{{"lat": {start * depth}1{end * depth}}}') == too_deep


def test_many_brackets_need_not_be_deep() -> None:
    deep = "[" * 100 + "]" * 100
    assert strict_json.decode_value(deep.encode()) == json.loads(deep)
    assert strict_json.decode_value(f"[{'[], ' * 500}{{}}]".encode()) == [[]] * 500 + [{}]


def test_size_is_limited() -> None:
    assert refused(" " * 8_193) == (
        "the body has more than 8192 bytes (a fix takes fewer than 1,000: send one fix per request)"
    )


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("name", list(a_fix()))
def test_number_that_json_does_not_have_is_a_fault_of_its_field(name: str, literal: str) -> None:
    body = json.dumps(a_fix(**{name: 0.125})).replace("0.125", literal)
    with pytest.raises(InvalidFix) as caught:
        validation.parse(body.encode())
    assert list(caught.value.fields) == [name]
