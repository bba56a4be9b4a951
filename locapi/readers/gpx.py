"""GPX 1.0 and 1.1: the points of tracks. No element is kept but the point at hand.

Read by expat itself: a tree would grow with the file, and a document type, by which XML can be
made to grow or to read other files, is refused before it says anything.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn
from xml.parsers import expat

from locapi.readers.columns import Columns
from locapi.readers.rows import Broken, Row

_CHUNK = 64 * 1024
_MAX_TAG = 1024 * 1024
_MAX_DEPTH = 64
_MAX_TEXT = 1024
_MAX_VALUES = 100
_NAIVE = re.compile(r"[0-9-]+T[0-9:.]+")  # of a GPX file, it is UTC all the same


def rows(stream: BinaryIO, columns: Columns) -> Iterator[Row]:
    """Yield a row for each `trkpt`; way points and routes are no fixes."""
    points = _Points()
    broken = None
    while broken is None and (chunk := stream.read(_CHUNK)):
        broken = points.feed(chunk)
        yield from points.taken(columns)
    broken = broken or points.feed(b"")
    yield from points.taken(columns)
    if broken is not None:
        raise broken


class _Points:
    """The points of the tracks in what is fed."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._fed = self._depth = self._line = 0
        self._text = ""
        self._point: dict[str, str] | None = None
        self._found: list[tuple[int, dict[str, str]]] = []

    def feed(self, chunk: bytes) -> Broken | None:
        """Take some bytes, none at the end, and return why it cannot go on."""
        try:
            self._parser.Parse(chunk, not chunk)
            self._fed += len(chunk)
            if self._fed - self._parser.CurrentByteIndex > _MAX_TAG:
                self._refuse()
        except expat.ExpatError as error:
            return Broken(f"line {error.lineno}: {expat.errors.messages[error.code]}")
        except Broken as broken:
            return broken
        return None

    def taken(self, columns: Columns) -> Iterator[Row]:
        """Yield what was found, once."""
        found, self._found = self._found, []
        for line, values in found:
            yield Row(f"line {line}", values, columns.pick_text(values))

    def _refuse(self, *_: Any) -> NoReturn:
        line = self._parser.CurrentLineNumber
        raise Broken(f"line {line}: a document type, or what is too long or nested too deep")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._refuse()
        self._text = ""
        if _local(tag) == "trkpt":
            self._line = self._parser.CurrentLineNumber
            self._point = {
                field: attributes[name]
                for field, name in (("lat", "lat"), ("long", "lon"))
                if name in attributes
            }

    def _characters(self, text: str) -> None:
        if len(self._text) < _MAX_TEXT:
            self._text += text[:_MAX_TEXT]

    def _end(self, tag: str) -> None:
        self._depth -= 1
        name, text, self._text = _local(tag), self._text.strip(), ""
        if self._point is None:
            return
        if name == "trkpt":
            self._found.append((self._line, self._point))
            self._point = None
        elif name == "time":
            self._point.setdefault("timestamp", f"{text}Z" if _NAIVE.fullmatch(text) else text)
        elif text and len(self._point) < _MAX_VALUES:
            self._point.setdefault(name, text)


def _local(tag: str) -> str:
    """Return an element's name without its prefix: loggers bind their own."""
    return tag.rpartition(":")[2]
