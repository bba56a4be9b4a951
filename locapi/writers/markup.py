"""XML by the standard library; numbers, of which there are most, as ready text."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from io import TextIOBase
from typing import TextIO, cast
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import orjson

_NOT_IN_XML = str.maketrans("\ufffe\uffff", "\ufffd\ufffd")  # of what a user_id may hold

_EXPONENT = re.compile(r"[0-9.]+e-?[0-9]+")


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


def numbers(rows: Sequence[tuple[float, ...]]) -> str:
    """Return rows as `1.5,2.0],[3.5,4.0`, each number as `xsd:decimal` and so that it reads back.

    orjson writes them, all at once; only what it writes with an exponent is written again.
    """
    text = orjson.dumps(rows).decode()[2:-2]
    return _EXPONENT.sub(lambda found: f"{Decimal(found[0]):f}", text) if "e" in text else text
