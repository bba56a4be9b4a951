"""Parquet, typed and compressed by zstd, in row groups that bound the memory."""

from collections.abc import Iterator
from io import RawIOBase
from typing import Any, BinaryIO

from pyarrow import RecordBatch, Table
from pyarrow.parquet import ParquetWriter

from locapi import tables
from locapi.export import Minutes

_GROUP = 131_072  # rows


class _Output(RawIOBase):
    """A file that takes no more once something failed.

    The library ends a file that is cut short as it ends a whole one, and nobody could tell.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.failed = False

    def writable(self) -> bool:
        """Tell the library that this is for writing."""
        return True

    def write(self, data: Any) -> int:
        """Write, or drop what comes too late."""
        return len(data) if self.failed else self._out.write(data)


def write(minutes: Minutes, out: BinaryIO) -> None:
    """Write a file with a row each minute."""
    output = _Output(out)
    schema = tables.schema(minutes)
    writer = ParquetWriter(output, schema, compression="zstd")
    try:
        for group in _groups(tables.batches(minutes)):
            writer.write_table(Table.from_batches(group, schema))
    except BaseException:
        output.failed = True
        raise
    finally:
        writer.close()


def _groups(batches: Iterator[RecordBatch]) -> Iterator[list[RecordBatch]]:
    group: list[RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if sum(map(len, group)) >= _GROUP:
            yield group
            group = []
    if group:
        yield group
