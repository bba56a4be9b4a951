"""Keep a folder of Parquet files, one for each UTC date, up to date with the minutes.

`date=2017-01-01/part-0.parquet` has the minutes of one date, sorted by user and time. Each file
is replaced at once, so an update may be interrupted and repeated.
"""

import fcntl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pymongo.database import Database

from locapi.errors import Conflict
from locapi.exporters import arrow
from locapi.exporters.changes import START, Token, read_changes
from locapi.exporters.formats import parquet
from locapi.exporters.query import COLUMNS, PAGE_SIZE, ZONE, Minutes, add_zone
from locapi.files import replacing
from locapi.fixes import ids
from locapi.storage.documents import Document

FILE = "part-0.parquet"
LOCK = ".locapi.lock"  # readers skip names that begin with a dot
_KEYS = ["user_id", "minute"]


def update(database: Database[Document], directory: Path, since: Token = START) -> Token:
    """Write all dates, or those that changed since a token; return the token for the next time.

    Raises Conflict if another process is writing, if there is no dataset that a token fits, or
    if a file that has to change is damaged.
    """
    with _locked(directory, create=since == START):
        for left_over in directory.glob(f"date=*/.{FILE}.*"):
            left_over.unlink()
        minutes, token = read_changes(database, since, by_date=True)
        written = set()
        for date, rows in groupby(_rows(minutes.pages), _date):
            _write(_file(directory, date), _of_date(rows), since != START, minutes.erased or ())
            written.add(_file(directory, date))
        for file in set(directory.glob(f"date=*/{FILE}")) - written:
            if since == START:
                _remove(file)
            elif minutes.erased and _holds(file, minutes.erased):
                _write(file, Minutes([], (*COLUMNS, *ZONE)), True, minutes.erased)
    return token


@contextmanager
def _locked(directory: Path, *, create: bool) -> Iterator[None]:
    if create:
        directory.mkdir(parents=True, exist_ok=True)
    elif not (directory / LOCK).exists():
        raise Conflict(
            f"{directory} holds no dataset, so what changed is not enough. "
            "Export everything first: delete the token file, or leave out --changed-since."
        )
    with (directory / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"another export is writing {directory}. Wait until it ends, and try again."
            ) from None
        yield


def _rows(pages: Iterable[Sequence[Document]]) -> Iterator[Document]:
    for page in pages:
        yield from page


def _date(minute: Document) -> str:
    return ids.parse_day_id(ids.day_id(minute["_id"]))[1]


def _file(directory: Path, date: str) -> Path:
    return directory / f"date={date}" / FILE


def _of_date(rows: Iterator[Document]) -> Minutes:
    return add_zone(Minutes(iter(lambda: list(islice(rows, PAGE_SIZE)), [])))


def _write(file: Path, minutes: Minutes, merging: bool, erased: Sequence[str]) -> None:
    """Replace a file by these minutes, or put these minutes into it and take erased users out."""
    if not merging or not file.exists():
        file.parent.mkdir(exist_ok=True)
        with replacing(file) as out:
            parquet.write(minutes, out)
        return
    table = _merge(_read(file), minutes, erased)
    if not table.num_rows:
        _remove(file)
        return
    with replacing(file) as out:
        pq.write_table(table, out, compression="zstd", row_group_size=parquet.ROW_GROUP)


def _merge(old: pa.Table, minutes: Minutes, erased: Sequence[str]) -> pa.Table:
    new = pa.Table.from_batches(arrow.batches(minutes), schema=arrow.schema(minutes))
    gone = pc.is_in(old["user_id"], value_set=pa.array(erased, pa.string()))
    kept = old.filter(pc.invert(gone)).join(new.select(_KEYS), _KEYS, join_type="left anti")
    both = pa.concat_tables([kept.cast(new.schema), new])
    return both.sort_by([(key, "ascending") for key in _KEYS])


def _holds(file: Path, users: Sequence[str]) -> bool:
    # Sorted by user, so the statistics of the row groups exclude most of them.
    found = _read(file, columns=["user_id"], filters=[("user_id", "in", users)])
    return bool(found.num_rows)


def _read(file: Path, **options: Any) -> pa.Table:
    try:
        return pq.read_table(file, partitioning=None, **options)
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None):  # the system cannot read it, whatever it holds
            raise
        raise Conflict(
            f"{file} is damaged. Export everything again, which replaces it: "
            "delete the token file, or leave out --changed-since."
        ) from error


def _remove(file: Path) -> None:
    file.unlink()
    with suppress(OSError):  # the user keeps something else there
        file.parent.rmdir()
