"""Read files that have one JSON object on each line."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from locapi.importers.row import BadRow, as_object

_MAX_LINE = 64 * 1024


def read_lines(stream: BinaryIO) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each line that is not blank, cut if it is too long."""
    number = 0
    while line := stream.readline(_MAX_LINE):
        number += 1
        if text := line.decode("utf-8", "surrogateescape").strip():
            yield f"line {number}", text
        while len(line) == _MAX_LINE and not line.endswith(b"\n"):
            line = stream.readline(_MAX_LINE)


def decode_object(text: str) -> dict[str, Any]:
    """Return the JSON object in a text. Raises BadRow."""
    try:
        return as_object(_decoder.decode(text))
    except json.JSONDecodeError as error:
        if len(text) > _MAX_LINE // 2:
            raise BadRow(f"not JSON, or a line of more than {_MAX_LINE:,} bytes") from error
        reason = error.msg[0].lower() + error.msg[1:]
        raise BadRow(f"not JSON: {reason} (column {error.colno})") from error
    except RecursionError as error:
        raise BadRow("a value is nested too deep") from error
    except ValueError as error:  # Python limits the digits of a whole number
        raise BadRow("a number has too many digits") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise BadRow("it has a key twice")
    return values


_decoder = json.JSONDecoder(parse_constant=lambda _: None, object_pairs_hook=_unique)
