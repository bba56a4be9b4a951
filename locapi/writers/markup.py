"""XML by the standard library, and the two forms of text it does not know."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from io import TextIOBase
from typing import TextIO, cast
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

_NOT_IN_XML = str.maketrans("\ufffe\uffff", "\ufffd\ufffd")  # of what a user_id may hold


class Markup:
    """An XML document on its way out; elements nest as the blocks do."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._xml = XMLGenerator(cast(TextIOBase, out), "UTF-8")
        self._xml.startDocument()

    @contextmanager
    def element(self, name: str, **attributes: str) -> Iterator[None]:
        """Begin an element, and end it where the block ends."""
        self._xml.startElement(name, AttributesImpl(attributes))
        self.ready("\n")
        yield
        self._xml.endElement(name)
        self.ready("\n")

    def text(self, name: str, content: str) -> None:
        """Write an element that holds text; what XML cannot hold becomes U+FFFD."""
        self._xml.startElement(name, AttributesImpl({}))
        self._xml.characters(content.translate(_NOT_IN_XML))
        self._xml.endElement(name)
        self.ready("\n")

    def ready(self, markup: str) -> None:
        """Write what is XML already."""
        self._out.write(markup)


def decimal(number: float) -> str:
    """Return a number as `xsd:decimal` has it: no exponent, and it reads back the same."""
    text = repr(number)
    return f"{Decimal(text):f}" if "e" in text else text
