"""JSON is read element by element: the same values as `json.loads` has, in bounded memory."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locapi.importers import json_stream
from locapi.importers.json_stream import Element, elements
from locapi.importers.row import BrokenFile

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Trickle(io.BytesIO):
    """A stream that gives a few bytes at a time."""

    def read1(self, size: int | None = -1) -> bytes:
        return super().read1(3)


def expected(document: Any) -> list[tuple[str | None, Any]]:
    if isinstance(document, list):
        return [("", each) for each in document]
    if not isinstance(document, dict):
        return [(None, document)]
    arrays = {key: value for key, value in document.items() if isinstance(value, list)}
    rest = {key: [] if key in arrays else value for key, value in document.items()}
    return [*((key, each) for key, value in arrays.items() for each in value), (None, rest)]


def values(content: bytes) -> list[tuple[str | None, Any]]:
    return [(each.key, each.value) for each in elements(Trickle(content))]


@given(st.lists(documents, max_size=3), st.sampled_from([None, 1]), st.booleans())
def test_documents_are_read_as_json_loads_reads_them(
    some: list[Any], indent: int | None, ascii_only: bool
) -> None:
    text = "\n".join(json.dumps(each, indent=indent, ensure_ascii=ascii_only) for each in some)
    wanted = [pair for document in some for pair in expected(document)]
    assert values(text.encode("utf-8", "surrogatepass")) == wanted


@given(documents, st.data())
def test_a_document_that_is_cut_off_is_broken(document: Any, data: st.DataObject) -> None:
    content = json.dumps([document]).encode()
    cut = data.draw(st.integers(1, len(content) - 1))
    with pytest.raises(BrokenFile):
        values(content[:cut])


def test_nan_is_null_and_a_byte_that_is_not_utf_8_spoils_one_string_only() -> None:
    assert values(b'[NaN, -Infinity, "\xff", "NaN"]') == [
        ("", None),
        ("", None),
        ("", "\udcff"),
        ("", "NaN"),
    ]


def test_a_place_is_an_element_or_the_line_of_a_document() -> None:
    content = b'{"a": [1,\n2]}\n\n7'
    assert list(elements(io.BytesIO(content))) == [
        Element("a", "a[0]", 1),
        Element("a", "a[1]", 2),
        Element(None, "line 1", {"a": []}),
        Element(None, "line 4", 7),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "line 1: a value is nested too deep"),
        ("[" + "1" * 5_000 + "]", "line 1: a number has too many digits"),
        ("{" + ",".join(f'"{n}": 1' for n in range(10_002)), "line 1: an object has more than"),
        ('["a\nb"]', "line 1: not JSON: invalid control character"),
        ("nope", 'line 1: not JSON: expecting value, found "nope"'),
    ],
)
def test_broken_json_is_reported_with_its_line(content: str, message: str) -> None:
    with pytest.raises(BrokenFile) as caught:
        list(elements(io.BytesIO(content.encode())))
    assert str(caught.value).startswith(message)


def test_the_largest_line_of_a_track_fits() -> None:
    positions = [[-74.000123, 40.7, 3.5]] * 100_000
    times = ["2017-01-01T18:05:12Z"] * 100_000
    content = json.dumps([positions, times]).encode()
    assert len(content) < json_stream.MAX_BYTES
    assert [len(each.value) for each in elements(io.BytesIO(content))] == [100_000, 100_000]
    feature = {"geometry": {"coordinates": positions}, "properties": {"times": times}}
    assert list(elements(io.BytesIO(json.dumps(feature).encode()))) == [
        Element(None, "line 1", feature)
    ]
