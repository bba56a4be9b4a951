"""Open a file to import as bytes, decompressed if it is gzipped, or the files in a zip archive."""

import gzip
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from locapi.errors import Misconfigured
from locapi.importers.row import BrokenFile

STANDARD_INPUT = "-"
_BUFFER = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
# Office documents are zip archives, too, but not of files for import.
_ARCHIVE = re.compile(rb"PK\x03\x04(?!.{26}(\[Content_Types\]|mimetype))", re.DOTALL)
_ARCHIVE_HEAD = 64
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_DIRECTORY = 4 * 1024 * 1024  # of a zip archive; some 40,000 files
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_ERRORS = (EOFError, OSError, zipfile.BadZipFile, zlib.error)  # of reading or decompressing
_UNSUPPORTED = "is encrypted or its compression is not supported: unpack it first"


class InputFile(NamedTuple):
    """An open file: `raw` as stored, `stream` decompressed; `size` is None if it is unknown."""

    name: str
    raw: io.BufferedReader
    stream: io.BufferedReader
    size: int | None

    def position(self) -> int:
        """Return how many bytes of the file have been read; 0 if its size is unknown."""
        return 0 if self.size is None else self.raw.tell()


@contextmanager
def opened(name: str) -> Iterator[InputFile]:
    """Open the file of that name, or standard input for `-`.

    Raises Misconfigured if it cannot be opened, and BrokenFile if it is gzipped but damaged.
    """
    with _open(name) as raw:
        shown = "standard input" if name == STANDARD_INPUT else name
        yield InputFile(shown, raw, _decompressed(raw), _size(raw))


class _File(io.FileIO):
    """A file or a pipe, whose reads return less than is asked for at the end only.

    A pipe may deliver its first bytes one by one, but the format is detected from them all.
    """

    def readinto(self, buffer: Any) -> int:
        filled = 0
        while filled < len(buffer) and (count := super().readinto(buffer[filled:])):
            filled += count
        return filled


def _open(name: str) -> io.BufferedReader:
    try:
        is_stdin = name == STANDARD_INPUT
        file = _File(0, closefd=False) if is_stdin else _File(name)
    except OSError as error:
        raise Misconfigured(f"cannot read {name}: {error.strerror}") from error
    return io.BufferedReader(file, _BUFFER)


def size_of(name: str) -> int | None:
    """Return the size of a file, or None for a pipe, which is not opened. Raises Misconfigured."""
    if name == STANDARD_INPUT or Path(name).is_fifo():
        return None
    with _open(name) as raw:
        return _size(raw)


def _size(raw: io.BufferedReader) -> int | None:
    status = os.fstat(raw.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _decompressed(stream: io.BufferedReader) -> io.BufferedReader:
    """Return a stream without gzip compression and without a byte order mark."""
    with translate_errors():
        if stream.peek(2).startswith(_GZIP_MAGIC):
            stream = _unpacked(gzip.GzipFile(fileobj=stream))
        if stream.peek(3).startswith(_BYTE_ORDER_MARK):
            stream.read(3)
    return stream


class _Unpacked(io.RawIOBase):
    """Decompressed bytes. An error is raised only when all bytes before it have been read."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._error: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        filled = 0
        try:
            while not self._error and (count := self._source.readinto1(buffer[filled:])):
                filled += count
        except _ERRORS as error:
            self._error = error  # a decompressor may not raise it again
        if self._error and not filled:
            raise self._error
        return filled


def _unpacked(source: Any) -> io.BufferedReader:
    return io.BufferedReader(_Unpacked(source), _BUFFER)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise BrokenFile for an error of reading or decompressing."""
    try:
        yield
    except _ERRORS as error:
        reason = getattr(error, "strerror", None) or f"damaged or cut off: {error}"
        raise BrokenFile(reason) from error


def is_archive(file: InputFile) -> bool:
    """Return whether a file is a zip archive."""
    return _ARCHIVE.match(file.stream.peek(_ARCHIVE_HEAD)) is not None


def members(
    archive: InputFile,
) -> Iterator[tuple[str, AbstractContextManager[InputFile]]]:
    """Yield the name of each file in a zip archive, and a context that opens it.

    Raises BrokenFile if the archive cannot be read, and the context if the file cannot.
    """
    if archive.size is None or archive.stream is not archive.raw:
        raise BrokenFile(
            "a zip archive cannot be read from a pipe or another archive: unpack it first"
        )
    with _translate_zip_errors():
        opened_archive = zipfile.ZipFile(_Archive(archive.raw))
    found = [each for each in opened_archive.infolist() if not _is_hidden(each)]
    if found and not any(map(_is_supported, found)):
        raise BrokenFile(f"the zip archive {_UNSUPPORTED}")
    for member in found:
        yield member.filename, _opened_member(archive, opened_archive, member)


def _is_hidden(member: zipfile.ZipInfo) -> bool:
    """Return whether a member is a directory, a hidden file or metadata of macOS."""
    path = PurePath(member.filename)
    is_directory = member.filename.endswith("/")  # is_dir() raises for an empty name
    return is_directory or path.name.startswith(".") or "__MACOSX" in path.parts


def _is_supported(member: zipfile.ZipInfo) -> bool:
    return not member.flag_bits & _ENCRYPTED and member.compress_type in _COMPRESSIONS


@contextmanager
def _opened_member(
    archive: InputFile, opened_archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> Iterator[InputFile]:
    if not _is_supported(member):
        raise BrokenFile(f"this file of the zip archive {_UNSUPPORTED}")
    with _translate_zip_errors():
        content = opened_archive.open(member)
    with content:
        name = f"{archive.name}/{member.filename}"
        yield archive._replace(name=name, stream=_decompressed(_unpacked(content)))


@contextmanager
def _translate_zip_errors() -> Iterator[None]:
    """Raise BrokenFile for what zipfile raises for an archive or a file in it."""
    try:
        with translate_errors():
            yield
    except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
        raise BrokenFile(
            f"the zip archive is damaged or of a kind that cannot be read ({error}): "
            "unpack it first"
        ) from error


class _Archive:
    """The bytes of a zip archive, with a limit for its directory, which is read at once."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read that many bytes; without a size, what `zipfile` looks for at the end."""
        if size > _MAX_DIRECTORY:
            raise BrokenFile("the zip archive has too many files: unpack it first")
        return self._file.read(size if size >= 0 else _MAX_DIRECTORY)
