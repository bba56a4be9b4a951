"""The elements of the arrays that a JSON document holds, one by one, however many there are."""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from locapi.errors import Misconfigured
from locapi.readers.rows import Broken

_MAX_BYTES = 64 * 1024 * 1024
_MAX_VALUES = 1_000_000
_MAX_DEPTH = 32
_CHUNK = 64 * 1024
_NESTED = ("start_map", "start_array")
_START_ARRAY = ("start_array", None)
_END_MAP = ("end_map", None)


class Element(NamedTuple):
    """One element: its array's key ("" of the outermost, None of no array), place and value."""

    key: str | None
    place: str
    value: Any


def elements(stream: BinaryIO) -> Iterator[Element]:
    """Yield the elements of the outermost array, or of each array in the outermost object.

    What else the outermost object holds comes last, as one element of its own.
    Raises Broken, and Misconfigured where the library is not installed.
    """
    try:
        import ijson
    except ImportError as error:
        raise Misconfigured(
            "JSON is read with ijson, which is not installed: pip install 'locapi[import]'"
        ) from error
    fed = _Fed(stream)
    values = _Values(ijson.basic_parse(fed, buf_size=_CHUNK, use_float=True))
    try:
        for element in _outermost(values):
            yield element
            fed.bytes = values.built = 0
    except (ijson.JSONError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise Broken(f"it is not JSON: {reason}") from error


class _Fed:
    """The bytes that the parser is fed, counted so that no one element is endless."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.bytes = 0

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self.bytes += len(chunk)
        if self.bytes > _MAX_BYTES:
            raise _too_large()
        return chunk


class _Values:
    """Values made of the parser's events, none too large."""

    def __init__(self, events: Iterator[tuple[str, Any]]) -> None:
        self.events = events
        self.built = 0

    def build(self, event: str, value: Any, depth: int = 0) -> Any:
        """Return the value that begins with an event."""
        if event == "start_map":
            return dict(self._pairs(depth + 1))
        if event == "start_array":
            return list(self.items(depth + 1))
        return value

    def _pairs(self, depth: int) -> Iterator[tuple[str, Any]]:
        for event, key in self.events:
            if event == "end_map":
                return
            begin, value = next(self.events)
            self._count(depth)
            yield key, self.build(begin, value, depth) if begin in _NESTED else value

    def items(self, depth: int = 0) -> Iterator[Any]:
        """Yield the values of the array that has begun."""
        for event, value in self.events:
            if event == "end_array":
                return
            self._count(depth)
            yield self.build(event, value, depth) if event in _NESTED else value

    def _count(self, depth: int) -> None:
        self.built += 1
        if self.built > _MAX_VALUES or depth > _MAX_DEPTH:
            raise _too_large()


def _outermost(values: _Values) -> Iterator[Element]:
    event, value = next(values.events)
    if event == "start_array":
        yield from _each(values, "")
    elif event == "start_map":
        rest: dict[str, Any] = {}
        for _, key in iter(values.events.__next__, _END_MAP):
            begin = next(values.events)
            if begin == _START_ARRAY:
                rest[key] = []  # it is not kept
                yield from _each(values, key)
            else:
                rest[key] = values.build(*begin)
        yield Element(None, "the whole", rest)
    else:
        yield Element(None, "the whole", value)
    next(values.events, None)  # so that it sees what is behind the end


def _each(values: _Values, key: str) -> Iterator[Element]:
    for number, value in enumerate(values.items()):
        yield Element(key, f"{key}[{number}]", value)


def _too_large() -> Broken:
    return Broken(
        f"an element of more than {_MAX_VALUES:,} values or {_MAX_BYTES:,} bytes, "
        f"or nested deeper than {_MAX_DEPTH}"
    )
