"""Parquet: typed columns, compressed by zstd, in row groups of bounded size."""

from collections.abc import Iterator
from io import RawIOBase
from typing import IO, Any

from pyarrow import RecordBatch, Table
from pyarrow.parquet import ParquetWriter

from locapi.exporters import arrow
from locapi.exporters.query import Minutes

ROW_GROUP = 131_072


class _Output(RawIOBase):
    """A file that discards what is written after a failure.

    ParquetWriter.close writes a footer even then, and a truncated file would look complete.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.failed = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data) if self.failed else self._out.write(data)


def write(minutes: Minutes, out: IO[bytes]) -> None:
    """Write a file with a row for each minute."""
    output = _Output(out)
    schema = arrow.schema(minutes)
    writer = ParquetWriter(output, schema, compression="zstd")
    try:
        for group in _groups(arrow.batches(minutes)):
            writer.write_table(Table.from_batches(group, schema))
    except BaseException:
        output.failed = True
        raise
    finally:
        writer.close()


def _groups(batches: Iterator[RecordBatch]) -> Iterator[list[RecordBatch]]:
    """Yield batches together once they have at least ROW_GROUP rows."""
    group: list[RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if sum(map(len, group)) >= ROW_GROUP:
            yield group
            group = []
    if group:
        yield group
