"""Read XML element by element with expat, in memory that does not grow with the file.

A document type is refused before it has any effect: with one, XML can grow without end or read
other files.
"""

from collections.abc import Iterator
from io import BufferedReader
from typing import Any, NoReturn
from xml.parsers import expat

from locapi.importers.fields import FieldMapping
from locapi.importers.row import BrokenFile, Row, Skipped

_CHUNK = 64 * 1024
_MAX_TAG = 1024 * 1024
_MAX_DEPTH = 64
_MAX_TEXT = 1024


class XmlReader:
    """Calls `start` and `end` for each element, whose results go to `found`."""

    def __init__(self, mapping: FieldMapping) -> None:
        self.mapping = mapping
        self.found: list[Row | Skipped] = []
        self.path: list[str] = []  # the names of the elements that are open
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.XmlDeclHandler = self._declaration
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._encoding: str | None = None
        self._fed = 0
        self._text = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element, by its name without a prefix."""
        raise NotImplementedError

    def end(self, name: str, text: str) -> None:
        """Handle the end of an element with the text before it, stripped."""
        raise NotImplementedError

    def read(self, stream: BufferedReader) -> Iterator[Row | Skipped]:
        """Yield what is found in the stream. Raises BrokenFile."""
        broken = None
        while broken is None and (chunk := stream.read1(_CHUNK)):
            # Some programs write blanks before the declaration, which XML does not allow.
            broken = self._feed(chunk if self._fed else chunk.lstrip())
            yield from self._take()
        broken = broken or self._feed(b"", is_last=True)
        yield from self._take()
        if broken is not None:
            raise broken

    @property
    def place(self) -> str:
        """Return the place of the current line."""
        return f"line {self._parser.CurrentLineNumber}"

    def _feed(self, chunk: bytes, *, is_last: bool = False) -> BrokenFile | None:
        try:
            self._parser.Parse(chunk, is_last)
            self._fed += len(chunk)
            if self._fed - self._parser.CurrentByteIndex > _MAX_TAG:
                self._refuse()
        except expat.ExpatError as error:
            return BrokenFile(f"line {error.lineno}: {expat.errors.messages[error.code]}")
        except BrokenFile as broken:
            return broken
        except (LookupError, ValueError):  # what pyexpat raises for most encodings
            if self.path:  # an error in a handler
                raise
            return BrokenFile(
                f"{self.place}: cannot read XML in the encoding {self._encoding}: "
                "convert the file to UTF-8 and remove the encoding from its first line"
            )
        return None

    def _take(self) -> Iterator[Row | Skipped]:
        found, self.found = self.found, []
        yield from found

    def _refuse(self, *_: Any) -> NoReturn:
        raise BrokenFile(f"{self.place}: a document type, or an element too long or too deep")

    def _declaration(self, _: str, encoding: str | None, __: int) -> None:
        self._encoding = encoding

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]  # each program chooses its own prefixes
        self.path.append(name)
        if len(self.path) > _MAX_DEPTH:
            self._refuse()
        self._text = ""
        self.start(name, attributes)

    def _characters(self, text: str) -> None:
        if len(self._text) < _MAX_TEXT:
            self._text += text[:_MAX_TEXT]

    def _end(self, _: str) -> None:
        text, self._text = self._text.strip(), ""
        self.end(self.path[-1], text)
        self.path.pop()
