"""Read bodies with many fixes: one JSON object, an array, or one object a line; perhaps gzipped."""

import zlib
from typing import Any

from flask import request

from locapi.errors import InvalidFix, TooLarge
from locapi.fixes import strict_json

BATCH_PATHS = frozenset(
    {"/locations", "/owntracks", "/overland"}
)  # whose bodies may be larger than one fix
MAX_FIXES = 1_000
MAX_BATCH_BYTES = 1024 * 1024

_GZIP = 16 + zlib.MAX_WBITS


def read_body() -> bytes:
    """Return the request's body, inflated if it is gzipped."""
    body: bytes = request.environ["wsgi.input"].read(MAX_BATCH_BYTES + 1)
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding == "gzip":
        body = _inflate(body)
    elif encoding not in ("", "identity"):
        raise InvalidFix("the Content-Encoding is not gzip (send the body plain or gzipped)")
    if len(body) > MAX_BATCH_BYTES:
        raise _too_large()
    return body


def _inflate(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        # One byte more than is allowed, so that no body takes more memory than that.
        inflated = unpacker.decompress(body, MAX_BATCH_BYTES + 1)
    except zlib.error as error:
        raise InvalidFix("the body is not gzip, as its Content-Encoding says") from error
    if len(inflated) > MAX_BATCH_BYTES or len(body) > MAX_BATCH_BYTES:
        raise _too_large()
    if not unpacker.eof or unpacker.unused_data:
        raise InvalidFix("the gzipped body is truncated or followed by other data")
    return inflated


def decode(body: bytes) -> list[Any]:
    """Return the fixes in a body as decoded; a line that is not JSON is its InvalidFix.

    Raises InvalidFix if the body as a whole is not JSON.
    """
    text = body.lstrip()
    documents = _decode_lines(text) if text.startswith(b"{") else _decode_array(text)
    check_count(documents)
    return documents


def check_count(documents: list[Any]) -> None:
    """Raise TooLarge if there are more fixes than one request may have."""
    if len(documents) > MAX_FIXES:
        raise _too_large()


def _decode_array(text: bytes) -> list[Any]:
    value = strict_json.decode_value(text)
    if not isinstance(value, list):
        raise strict_json.not_an_object(value)
    return value


def _decode_lines(text: bytes) -> list[Any]:
    """Return the objects on the lines of a text; an object may also take several lines."""
    lines = [line for line in text.split(b"\n") if line.strip()]
    if len(lines) == 1 or isinstance(_decode_line(lines[0]), InvalidFix):
        try:
            return [strict_json.decode_value(text)]
        except InvalidFix:
            if not any(isinstance(_decode_line(line), dict) for line in lines[:MAX_FIXES]):
                raise
    check_count(lines)
    return list(map(_decode_line, lines))


def _decode_line(line: bytes) -> Any:
    try:
        return strict_json.decode_value(line)
    except InvalidFix as fault:
        return fault


def _too_large() -> TooLarge:
    return TooLarge(
        f"a request has at most {MAX_FIXES:,} fixes and {MAX_BATCH_BYTES:,} bytes, "
        "also after inflating: send fewer fixes at once"
    )
