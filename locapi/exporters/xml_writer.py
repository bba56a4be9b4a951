"""Write XML to a stream: elements and text by the standard library, numbers as ready text."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from io import TextIOBase
from typing import TextIO, cast
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import orjson

# XML cannot hold these two characters, which a user_id may have.
_REPLACEMENTS = str.maketrans("\ufffe\uffff", "\ufffd\ufffd")
_EXPONENT = re.compile(r"[0-9.]+e-?[0-9]+")


class XmlWriter:
    """Write a document whose elements nest as the `with` blocks do."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._xml = XMLGenerator(cast(TextIOBase, out), "UTF-8")
        self._xml.startDocument()

    @contextmanager
    def element(self, name: str, **attributes: str) -> Iterator[None]:
        """Write an element around what the block writes."""
        self._xml.startElement(name, AttributesImpl(attributes))
        self.raw("\n")
        yield
        self._xml.endElement(name)
        self.raw("\n")

    def text(self, name: str, content: str) -> None:
        """Write an element with a text; a character that XML cannot hold becomes U+FFFD."""
        self._xml.startElement(name, AttributesImpl({}))
        self._xml.characters(content.translate(_REPLACEMENTS))
        self._xml.endElement(name)
        self.raw("\n")

    def raw(self, markup: str) -> None:
        """Write text that is XML already."""
        self._out.write(markup)


def decimals(rows: Sequence[tuple[float | None, ...]]) -> str:
    """Return rows of numbers as `1.5,2.0],[3.5,null`, each number an exact `xsd:decimal`.

    orjson formats all at once; those with an exponent, which are rare, are formatted again.
    """
    text = orjson.dumps(rows).decode()[2:-2]
    return _EXPONENT.sub(lambda found: f"{Decimal(found[0]):f}", text) if "e" in text else text
