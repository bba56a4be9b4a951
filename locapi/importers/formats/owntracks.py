"""OwnTracks: the Recorder's `.rec` files and JSON, and the messages of the app."""

from collections.abc import Generator, Iterator
from io import BufferedReader
from typing import Any

from locapi.errors import InvalidFix
from locapi.importers.fields import FieldMapping
from locapi.importers.json_lines import decode_object, read_lines
from locapi.importers.json_stream import elements
from locapi.importers.row import BadRow, Row, Skipped, as_object

_ARRAYS = ("", "data")  # of the Recorder's API


def read(stream: BufferedReader, mapping: FieldMapping) -> Generator[Row | Skipped, None, None]:
    """Yield a row for each message that has a location."""
    is_json = stream.peek(1).lstrip()[:1] in (b"{", b"[")
    for place, content in _documents(stream) if is_json else read_lines(stream):
        try:
            message = _message(content)
        except BadRow as fault:
            yield Row(place, content, InvalidFix(str(fault)))
            continue
        kind = message.get("_type")
        if kind == "location":
            yield mapping.row(place, message)
        elif kind is None:
            yield Row(place, message, InvalidFix("the message has no _type"))
        else:
            yield Skipped(f"message of type {str(kind)[:40]}")


def _documents(stream: BufferedReader) -> Iterator[tuple[str, Any]]:
    """Yield the messages of a JSON array, the Recorder's answer or one document a line."""
    for key, place, value in elements(stream):
        if key in _ARRAYS or (key is None and not _is_answer(value)):
            yield place, value


def _is_answer(document: Any) -> bool:
    """Return whether a document only encloses the Recorder's array of messages."""
    if not isinstance(document, dict) or "_type" in document:
        return False
    return isinstance(document.get("data"), list)


def _message(content: Any) -> dict[str, Any]:
    if isinstance(content, str):  # a line of a .rec file: time, type and message
        return decode_object(content.rpartition("\t")[2])
    return as_object(content)
