"""Read JSON documents element by element, in memory that does not grow with the file.

The standard library's decoder reads each element; only the outermost array or object is taken
apart here. It accepts NaN, which some programs write; that counts as null.
"""

import codecs
import json
import sys
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Any, NamedTuple

from locapi.importers.row import BrokenFile

_CHUNK = 64 * 1024
MAX_BYTES = 12 * 1024 * 1024  # of the text that one element is decoded from
_MAX_DECODED = 48 * 1024 * 1024  # of the objects that it becomes
_ALWAYS_DECODED = 1024 * 1024  # text too short to exceed that bound
# What an object, an array and a value take at most, apart from long strings.
_SIZES = {"{": 240, "[": 96, ",": 64}
_MAX_KEYS = 10_000  # of a document
_MAX_SHOWN_KEY = 100  # each place has the key
_BLANKS = " \t\r\n\x1e"  # the last one precedes each document of a GeoJSON text sequence
_LONGEST_NUMBER_END = 2  # as of 1.5e+3, cut after 1.5

decoder = json.JSONDecoder(parse_constant=lambda _: None)


class Element(NamedTuple):
    """An element of an array, by the array's key in the outermost object ("" if there is none).

    What else a document holds comes after its arrays, as an element of the key None.
    """

    key: str | None
    place: str
    value: Any


def elements(stream: BufferedIOBase) -> Iterator[Element]:
    """Yield the elements of each document in the stream. Raises BrokenFile."""
    text = _Text(stream)
    while start := text.peek():
        place = f"line {text.line()}"
        text.kept = 0
        if start == "[":
            yield from _array(text, "")
        elif start == "{":
            yield from _object(text, place)
        else:
            yield Element(None, place, text.value())


def _array(text: "_Text", key: str) -> Iterator[Element]:
    for number, _ in enumerate(text.separated("[", "]")):
        yield Element(key, f"{key[:_MAX_SHOWN_KEY]}[{number}]", text.value())


def _object(text: "_Text", place: str) -> Iterator[Element]:
    rest: dict[str, Any] = {}
    for _ in text.separated("{", "}"):
        key = text.value()
        text.keep()
        if not isinstance(key, str):
            raise text.broken("a key in double quotes was expected")
        text.expect(":")
        if text.peek() == "[":
            rest[key] = []
            yield from _array(text, key)
        else:
            rest[key] = text.value()
            text.keep()
        if len(rest) > _MAX_KEYS:
            raise text.error(f"an object has more than {_MAX_KEYS:,} keys")
    yield Element(None, place, rest)


def _decoded_size(text: str) -> int:
    return sum(size * text.count(sign) for sign, size in _SIZES.items())


class _Text:
    """The text of a stream, of which only what is being decoded is kept."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream = stream
        # A byte that is not UTF-8 spoils the string it is in, not the file.
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._text = ""
        self._position = self._counted = 0
        self._value_start = 0
        self._line = 1
        self.kept = 0  # the memory of the values that the current document keeps

    def line(self) -> int:
        """Return the number of the current line."""
        self._line += self._text.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._line

    def peek(self) -> str:
        """Return the next character that is not blank, without consuming it; "" at the end."""
        while True:
            text, position = self._text, self._position
            while position < len(text) and text[position] in _BLANKS:
                position += 1
            self._position = position
            if position < len(text):
                return text[position]
            if not self._read(_CHUNK):
                return ""

    def expect(self, *characters: str) -> str:
        """Consume and return one of these characters."""
        found = self.peek()
        if found not in characters:
            raise self.broken(f"{' or '.join(characters)} was expected")
        self._position += 1
        return found

    def separated(self, start: str, end: str) -> Iterator[None]:
        """Consume brackets and commas; yield where a value stands."""
        self.expect(start)
        if self.peek() == end:
            self.expect(end)
            return
        yield
        while self.expect(",", end) == ",":
            yield

    def value(self) -> Any:
        """Consume and return the next value."""
        self.peek()
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                if not self._read_more():
                    reason = error.msg[0].lower() + error.msg[1:].removesuffix(" at")
                    raise self.broken(reason) from error
            except RecursionError as error:
                raise self.error("a value is nested too deep") from error
            except ValueError as error:  # Python limits the digits of a whole number
                raise self.error("a number has too many digits") from error
            else:
                if end + _LONGEST_NUMBER_END < len(self._text) or not self._read_more():
                    self._value_start, self._position = self._position, end
                    return value

    def keep(self) -> None:
        """Count the memory of the last value as kept. Raises BrokenFile if it is too much."""
        text = self._text[self._value_start : self._position]
        self.kept += sys.getsizeof(text) + _decoded_size(text)
        if self.kept > _MAX_DECODED:
            raise self.too_large()

    def _read_more(self) -> bool:
        """Read more in growing steps, so that a long value is decoded only a few times."""
        length = len(self._text) - self._position
        step = length
        if length > _ALWAYS_DECODED:
            step = length // 4
            decoded = self.kept + _decoded_size(self._text)
            if sys.getsizeof(self._text) > MAX_BYTES or decoded > _MAX_DECODED:
                raise self.too_large()
        return self._read(max(_CHUNK, step))

    def _read(self, size: int) -> bool:
        """Append some text and drop what has been consumed; False at the end."""
        chunk = self._stream.read1(size)
        text = self._decode(chunk, not chunk)
        if not text:
            return bool(chunk)
        self.line()
        self._text = self._text[self._position :] + text
        self._position = self._counted = 0
        return True

    def broken(self, reason: str) -> BrokenFile:
        """Return the error for text that is not JSON."""
        rest = self._text[self._position : self._position + 20]
        found = f"found {json.dumps(rest)}" if rest else "the file ends there (is it cut off?)"
        return self.error(f"not JSON: {reason}, {found}")

    def too_large(self) -> BrokenFile:
        """Return the error for a value that does not fit into the bounds."""
        return self.error(
            f"a value takes more than {MAX_BYTES // 2**20} MiB of text "
            f"or {_MAX_DECODED // 2**20} MiB of memory"
        )

    def error(self, reason: str) -> BrokenFile:
        """Return the error with this reason at the current line."""
        return BrokenFile(f"line {self.line()}: {reason}")
