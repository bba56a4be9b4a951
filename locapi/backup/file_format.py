"""The format of a dump file: gzipped BSON documents, one after the other.

A header comes first, a marker precedes the documents of each collection, and a trailer
counts them, so a truncated file is recognized even if its gzip stream is complete.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

import bson
from bson import Timestamp
from bson.errors import InvalidBSON

from locapi.errors import UnreadableFile

VERSION = 1
_MARKER = "locapi_dump"  # a stored document begins with `_id`, so it is never taken for a marker
_MARKER_START = b"\x02" + _MARKER.encode() + b"\0"  # a BSON string with that name
_LENGTH_BYTES = 4
_MAX_DOCUMENT_BYTES = 16 << 20  # MongoDB's limit


Document = dict[str, Any]


class Header(NamedTuple):
    """When a dump started and when its base dump did, if it has one, by the database's clock."""

    started_at: Timestamp
    base_started_at: Timestamp | None


def write(
    out: IO[bytes], header: Header, collections: Iterable[tuple[str, Iterable[bytes]]]
) -> dict[str, int]:
    """Write a dump and return how many documents each collection has.

    Each chunk of a collection holds whole BSON documents. Equal documents give equal bytes.
    """
    counts: dict[str, int] = {}
    with gzip.GzipFile("", "wb", compresslevel=1, fileobj=out, mtime=0) as packed:
        packed.write(bson.encode({_MARKER: "header", "version": VERSION, **header._asdict()}))
        for name, chunks in collections:
            packed.write(bson.encode({_MARKER: "collection", "name": name}))
            counts[name] = 0
            for chunk in chunks:
                packed.write(chunk)
                counts[name] += _count_documents(chunk)
        packed.write(bson.encode({_MARKER: "trailer", "counts": counts}))
    return counts


def _count_documents(chunk: bytes) -> int:
    count = position = 0
    while position < len(chunk):
        position += int.from_bytes(chunk[position : position + _LENGTH_BYTES], "little")
        count += 1
    return count


def read_header(file: IO[bytes]) -> Header:
    """Return the header of a dump; raises UnreadableFile."""
    documents = _unpack(file)
    return _parse_header(next(documents, b""))


def read(file: IO[bytes]) -> Iterator[tuple[str, Document]]:
    """Yield the name of its collection and the document for each document of a dump.

    Raises UnreadableFile where the file is damaged or truncated. Damage may show only at the
    end, by gzip's checksum: read a file to its end once before you use what it holds.
    """
    documents = _unpack(file)
    _parse_header(next(documents, b""))
    counts: dict[str, int] = {}
    name, trailer = "", None
    for packed in documents:
        document = _decode(packed)
        if trailer is not None:  # nothing may come after it
            raise _damaged()
        if not _is_marker(packed):
            if name not in counts:
                raise _damaged()
            counts[name] += 1
            yield name, document
        elif document[_MARKER] == "collection":
            name = str(document.get("name"))
            counts[name] = 0
        else:
            trailer = document
    if trailer is None or trailer.get("counts") != counts:
        raise _damaged()


def _decode(document: bytes) -> Document:
    try:
        return bson.decode(document)
    except (InvalidBSON, RecursionError) as error:
        raise _damaged() from error


def _is_marker(document: bytes) -> bool:
    return document.startswith(_MARKER_START, _LENGTH_BYTES)


def _parse_header(document: bytes) -> Header:
    header = _decode(document) if _is_marker(document) else {}
    if header.get("version") != VERSION:
        raise UnreadableFile(
            f"not a locapi dump of format {VERSION}. Choose a file that `locctl dump` wrote."
        )
    started_at, base = header.get("started_at"), header.get("base_started_at")
    if not (isinstance(started_at, Timestamp) and isinstance(base, Timestamp | None)):
        raise _damaged()
    return Header(started_at, base)


def _unpack(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the BSON documents of a gzipped file."""
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as packed:
            while length := packed.read(_LENGTH_BYTES):
                size = int.from_bytes(length, "little")
                if not _LENGTH_BYTES < size <= _MAX_DOCUMENT_BYTES:
                    raise _damaged()
                document = length + packed.read(size - _LENGTH_BYTES)
                if len(document) < size:
                    raise _damaged()
                yield document
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged() from error


def _damaged() -> UnreadableFile:
    return UnreadableFile(
        "not a dump, or damaged or truncated. Copy the file again or make a new dump."
    )
