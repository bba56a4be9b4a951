"""Read text in a format as an import does, without a file or a database."""

import io
from collections.abc import Iterator
from typing import Any

from locapi.errors import InvalidFix
from locapi.importers import formats
from locapi.importers.fields import FieldMapping
from locapi.importers.formats import FORMATS
from locapi.importers.reasons import reasons
from locapi.importers.row import Row, Skipped

DEFAULTS: dict[str, str | float] = {"user_id": "a1", "accuracy": 10.0, "speed": 0.0}
MINE = FieldMapping(defaults=DEFAULTS)


def stream(content: str | bytes) -> io.BufferedReader:
    """Return a stream of this content."""
    return io.BufferedReader(io.BytesIO(content.encode() if isinstance(content, str) else content))


def iter_read(
    form: str, content: str | bytes, mapping: FieldMapping = MINE
) -> Iterator[Row | Skipped]:
    """Yield what a format's reader yields."""
    return formats.load(form)(stream(content), FORMATS[form].mapping(mapping))


def read(form: str, content: str | bytes, mapping: FieldMapping = MINE) -> list[Row | Skipped]:
    """Return all that a format's reader yields."""
    return list(iter_read(form, content, mapping))


def found(form: str, content: str | bytes, mapping: FieldMapping = MINE) -> list[Any]:
    """Return the fields of each row, the reason why it has none, or the kind of what is skipped."""
    return [
        f"skipped {each.kind}"
        if isinstance(each, Skipped)
        else "; ".join(reasons(each.fields))
        if isinstance(each.fields, InvalidFix)
        else each.fields
        for each in read(form, content, mapping)
    ]
