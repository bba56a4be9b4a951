"""A folder of Parquet files, one for each date, which follows what changes."""

import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from pymongo.database import Database

from locapi.errors import Conflict
from locapi.exporters import dataset
from locapi.exporters.changes import START
from locapi.exporters.dataset import update
from locapi.exporters.formats import parquet
from locapi.exporters.query import Minutes, read_pages
from locapi.rollup.erase import erase
from locapi.storage.documents import Document
from tests.exporters.conftest import Fold


def files(directory: Path) -> dict[str, int]:
    """Return the inode of each date's file: another one means that it was written anew."""
    return {file.parent.name[5:]: file.stat().st_ino for file in directory.glob("date=*/*")}


def ids_in(directory: Path) -> list[str]:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select user_id, strftime(minute at time zone 'UTC', '%Y-%m-%dT%H:%M')"
            " from read_parquet(?) order by 1, 2",
            [f"{directory}/*/*.parquet"],
        ).fetchall()
    return [f"{user_id}\t{minute}" for user_id, minute in rows]


def stored(db: Database[Document]) -> list[str]:
    return [row["_id"] for page in read_pages(db) for row in page]


def test_readers_find_dates_types_and_time_zones(
    db: Database[Document], fold: Fold, tmp_path: Path
) -> None:
    fold("07-01 13:05:01", "01-01 20:00:00")
    fold("01-01 13:05:01", "01-01 13:06:01", user_id="b")
    update(db, tmp_path)
    assert sorted(files(tmp_path)) == ["2017-01-01", "2017-01-02", "2017-07-01"]
    table = pq.read_table(tmp_path / "date=2017-01-01" / "part-0.parquet", partitioning=None)
    assert table.to_pylist()[1] == {
        "user_id": "b",
        "minute": pd.Timestamp("2017-01-01 18:06", tz="UTC"),
        "lat": 40.7,
        "long": -74.0,
        "accuracy": 5.0,
        "speed": 1.5,
        "count": 1,
        "tz": "America/New_York",
        "utc_offset": -18_000,
    }
    lazy = pl.scan_parquet(tmp_path / "**/*.parquet", hive_partitioning=True)
    summer = lazy.filter(pl.col("date") == pl.date(2017, 7, 1)).collect()
    assert summer["utc_offset"].to_list() == [-14_400]
    assert pd.read_parquet(tmp_path).shape == (4, 10)
    assert ids_in(tmp_path) == stored(db)


def test_only_dates_that_changed_are_written_again(
    db: Database[Document], fold: Fold, tmp_path: Path
) -> None:
    fold("01-01 13:05:01", "01-02 13:05:01", "01-03 13:05:01")
    fold("01-02 13:05:01", "01-03 13:05:01", user_id="b")
    token = update(db, tmp_path)
    before = files(tmp_path)
    fold("01-01 13:05:02", "01-01 13:04:02")
    erase(db, "b")
    update(db, tmp_path, token)
    after = files(tmp_path)
    assert {date for date in before if before[date] != after[date]} == {
        "2017-01-01",
        "2017-01-02",
        "2017-01-03",
    }
    assert ids_in(tmp_path) == stored(db)
    fold("01-04 13:05:01")
    token = update(db, tmp_path, token)
    erase(db, "a")
    fold("01-02 14:00:00")
    token = update(db, tmp_path, token)
    assert list(files(tmp_path)) == ["2017-01-02"]
    assert ids_in(tmp_path) == stored(db) == ["a\t2017-01-02T19:00"]
    before = files(tmp_path)
    update(db, tmp_path, token)
    assert files(tmp_path) == before


def test_dates_without_minutes_go_if_everything_is_written(
    db: Database[Document], fold: Fold, tmp_path: Path
) -> None:
    fold("01-01 13:05:01", "01-02 13:05:01")
    update(db, tmp_path)
    kept = tmp_path / "date=2017-01-02" / "notes.txt"
    kept.write_text("mine")
    erase(db, "a")
    update(db, tmp_path, START)
    assert list(tmp_path.glob("date=*/*")) == [kept]


def test_an_interrupted_update_is_repeated(
    db: Database[Document], fold: Fold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold("01-01 13:05:01", "01-02 13:05:01")
    token = update(db, tmp_path)
    fold("01-01 14:00:00", "01-02 14:00:00")
    written = parquet.write

    def interrupted(minutes: Minutes, out: BinaryIO) -> None:
        written(minutes, out)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(parquet, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            update(db, tmp_path)
    (tmp_path / "date=2017-01-02" / ".part-0.parquet.0123abcd").write_text("killed")
    update(db, tmp_path, token)
    assert ids_in(tmp_path) == stored(db)
    names = {file.name for file in tmp_path.glob("date=*/*")}
    assert names == {"part-0.parquet"}


@pytest.mark.parametrize("change", ["fold", "erase"])
@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: content[:-9], lambda content: b"PAR1" + content[9:]],
    ids=["empty", "truncated", "overwritten"],
)
def test_a_damaged_file_is_named_and_exporting_everything_repairs_it(
    db: Database[Document],
    fold: Fold,
    tmp_path: Path,
    change: str,
    damage: Callable[[bytes], bytes],
) -> None:
    fold("01-01 13:05:01", "01-02 13:05:01")
    fold("01-02 13:05:01", user_id="b")
    token = update(db, tmp_path)
    file = tmp_path / "date=2017-01-01" / "part-0.parquet"
    file.write_bytes(damage(file.read_bytes()))
    if change == "fold":
        fold("01-01 14:00:00")
    else:
        erase(db, "a")
    for _ in range(2):
        with pytest.raises(Conflict, match=f"{file} is damaged.*delete the token file"):
            update(db, tmp_path, token)
    update(db, tmp_path)
    assert ids_in(tmp_path) == stored(db)


def test_two_at_once_and_a_token_without_a_dataset_are_refused(
    db: Database[Document], fold: Fold, tmp_path: Path
) -> None:
    fold("01-01 13:05:01")
    token = update(db, tmp_path / "one")
    with pytest.raises(Conflict, match="holds no dataset"):
        update(db, tmp_path / "two", token)
    with (tmp_path / "one" / dataset.LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="another export is writing"):
            update(db, tmp_path / "one", token)
