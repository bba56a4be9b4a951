"""A file as bytes: unpacked if it is gzipped, with how much of it was read, and its format."""

import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from locapi.errors import Misconfigured

STANDARD_INPUT = "-"
_GZIPPED = b"\x1f\x8b"
_HEAD_BYTES = 4096
_BY_NAME = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".gpx": "gpx",
    ".geojson": "geojson",
}
# What a file begins with, where its name does not tell; the first that fits.
_BY_CONTENT = (
    (rb"<", "gpx"),
    (rb"\[", "google"),
    (rb'\{\s*"(locations|semanticSegments|rawSignals|timelineObjects|userLocation\w+)"', "google"),
    (rb'\{.*?"(type"\s*:\s*"Feature|features"\s*:\s*\[)', "geojson"),
    (rb"\{[^\n]*\}\s*(\n|$)", "ndjson"),
    (rb"[^\n{]+[,;\t]", "csv"),
)


class Source(NamedTuple):
    """One open file: `raw` as it lies there, `stream` unpacked, `size` None where not known."""

    name: str
    raw: io.BufferedReader
    stream: io.BufferedReader
    size: int | None

    def position(self) -> int:
        """Return how many bytes of the file were read; 0 where its size is not known."""
        return 0 if self.size is None else self.raw.tell()


@contextmanager
def opened(name: str) -> Iterator[Source]:
    """Yield the file of that name, or standard input for `-`. Raises Misconfigured."""
    try:
        raw = _open(name)
    except OSError as error:
        raise Misconfigured(f"{name} cannot be read: {error.strerror}") from error
    with raw:
        status = os.fstat(raw.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        shown = "standard input" if name == STANDARD_INPUT else name
        yield Source(shown, raw, _unpacked(raw), size)


def _open(name: str) -> io.BufferedReader:
    if name == STANDARD_INPUT:
        return open(0, "rb", closefd=False)
    return Path(name).open("rb")


def _unpacked(raw: io.BufferedReader) -> io.BufferedReader:
    if not raw.peek(2).startswith(_GZIPPED):
        return raw
    return io.BufferedReader(gzip.GzipFile(fileobj=raw))


def format_of(source: Source) -> str:
    """Return the format of a file by its name or else by how it begins. Raises Misconfigured."""
    suffix = Path(source.name.lower().removesuffix(".gz")).suffix
    if suffix in _BY_NAME:
        return _BY_NAME[suffix]
    try:
        head = source.stream.peek(_HEAD_BYTES)[:_HEAD_BYTES]
    except (EOFError, OSError, zlib.error) as error:
        raise Misconfigured(f"{source.name} cannot be read: {error}") from error
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for begins, form in _BY_CONTENT:
        if re.match(begins, head, re.DOTALL):
            return form
    raise Misconfigured(f"{source.name}: cannot tell its format; say it with --format")
