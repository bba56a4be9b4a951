"""What a dump looks like on disk: BSON documents, one after the other, gzipped.

The first says what the file is, one before each collection names it, the last says how
many there were of each: so a file that was cut off is known for one.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

import bson
from bson import Timestamp
from bson.raw_bson import RawBSONDocument

from locapi.errors import UnreadableFile
from locapi.mongo import Document

VERSION = 1
_MARK = "locapi_dump"  # no document of a collection begins with it: theirs begin with `_id`
_SIGN = b"\x02" + _MARK.encode() + b"\0"  # a string of that name, right after the length
_LENGTH = 4


class Header(NamedTuple):
    """When a dump was begun, by the database's clock, and the one that it goes on from."""

    begun: Timestamp
    after: Timestamp | None


def write(
    out: IO[bytes], header: Header, collections: Iterable[tuple[str, Iterable[bytes]]]
) -> dict[str, int]:
    """Write a dump of collections, given as chunks of whole documents; return how many each had.

    The same documents give the same bytes.
    """
    counts: dict[str, int] = {}
    with gzip.GzipFile("", "wb", compresslevel=1, fileobj=out, mtime=0) as packed:
        packed.write(bson.encode({_MARK: "begin", "version": VERSION, **header._asdict()}))
        for name, chunks in collections:
            packed.write(bson.encode({_MARK: "collection", "name": name}))
            counts[name] = 0
            for chunk in chunks:
                packed.write(chunk)
                counts[name] += _documents(chunk)
        packed.write(bson.encode({_MARK: "end", "counts": counts}))
    return counts


def _documents(chunk: bytes) -> int:
    number = at = 0
    while at < len(chunk):
        at += int.from_bytes(chunk[at : at + _LENGTH], "little")
        number += 1
    return number


def read_header(file: IO[bytes]) -> Header:
    """Return the header of a dump."""
    return next(_begun(file))[0]


def read(file: IO[bytes]) -> Iterator[tuple[str, RawBSONDocument]]:
    """Yield each document after the name of its collection; raises UnreadableFile.

    What came before that may be used all the same: a dump may be restored again.
    """
    counts: dict[str, int] = {}
    name, whole = "", False
    _, rest = next(_begun(file))
    for raw in rest:
        if not raw.startswith(_SIGN, _LENGTH):
            counts[name] += 1
            yield name, RawBSONDocument(raw)
        elif (mark := bson.decode(raw))[_MARK] == "collection":
            name = mark["name"]
            counts[name] = 0
        else:
            whole = mark["counts"] == counts
    if not whole:
        raise UnreadableFile("the dump is cut off; fetch the whole file, or dump again")


def _begun(file: IO[bytes]) -> Iterator[tuple[Header, Iterator[bytes]]]:
    """Yield the header and what comes after it."""
    documents = _unpacked(file)
    first = next(documents, b"")
    mark: Document = bson.decode(first) if first.startswith(_SIGN, _LENGTH) else {}
    if mark.get("version") != VERSION:
        raise UnreadableFile(f"no dump that this locapi reads; it reads version {VERSION}")
    yield Header(mark["begun"], mark["after"]), documents


def _unpacked(file: IO[bytes]) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as packed:
            while length := packed.read(_LENGTH):
                size = int.from_bytes(length, "little") - _LENGTH
                rest = packed.read(size) if size > 0 else b""
                if size <= 0 or len(rest) < size:
                    raise EOFError
                yield length + rest
    except gzip.BadGzipFile as error:
        raise UnreadableFile("no dump of locapi, or a damaged one: it is not gzipped") from error
    except (EOFError, zlib.error) as error:
        raise UnreadableFile(
            "the dump is damaged or cut off; fetch the whole file again"
        ) from error
