"""Minutes as Arrow record batches and tables, for Parquet files and notebooks."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from locapi import times
from locapi.exporters.query import LOCAL_TIME, NUMBERS, Minutes, Page, read
from locapi.fixes import ids
from locapi.fixes.averages import OPTIONAL
from locapi.settings import Settings
from locapi.storage import mongo

DELETED = "deleted"  # of what changed: all rows of the user go
_LOCAL = pa.timestamp("us")  # without a time zone
_TYPES = {
    "user_id": pa.string(),
    "minute": pa.timestamp("us", tz="UTC"),
    **dict.fromkeys(NUMBERS, pa.float64()),
    "count": pa.int64(),
    LOCAL_TIME: _LOCAL,
    "tz": pa.string(),
    "utc_offset": pa.int32(),
}


def schema(minutes: Minutes) -> pa.Schema:
    """Return the columns' names and types; of what changed, the column `deleted` comes last."""
    changed = minutes.erased is not None
    fields = [
        pa.field(name, _TYPES[name], name in OPTIONAL or (changed and name != "user_id"))
        for name in minutes.columns
    ]
    if changed:
        fields.append(pa.field(DELETED, pa.bool_(), nullable=False))
    return pa.schema(fields)


def batches(minutes: Minutes) -> Iterator[pa.RecordBatch]:
    """Yield a record batch for each page; before them one with the erased users, if any."""
    columns = schema(minutes)
    if minutes.erased:
        rows = [{"user_id": user_id, DELETED: True} for user_id in minutes.erased]
        yield pa.RecordBatch.from_pylist(rows, schema=columns)
    for page in minutes.pages:
        arrays = list(_columns(page, minutes))
        if minutes.erased is not None:
            arrays.append(pa.repeat(False, len(page)))
        yield pa.record_batch(arrays, schema=columns)


def _columns(page: Page, minutes: Minutes) -> Iterator[pa.Array]:
    keys = pa.array([minute["_id"] for minute in page], pa.string())
    yield pc.utf8_slice_codeunits(keys, 0, -ids.MINUTE_WIDTH - 1)
    yield pc.utf8_slice_codeunits(keys, -ids.MINUTE_WIDTH).cast(_LOCAL).cast(_TYPES["minute"])
    for name in minutes.columns[2:]:
        values = pa.array([minute[name] for minute in page])
        yield values.cast(_TYPES[name])


def table(
    uri: str | None,
    user: str | None,
    since: datetime | str | None,
    until: datetime | str | None,
    resolution: str,
    local_time: bool,
) -> pa.Table:
    """Return the table of `locapi.minutes`, which documents the arguments."""
    span = times.parse_resolution(resolution)
    window = (_utc(since), _utc(until))
    settings = Settings.from_environ()
    if uri is not None:
        settings = dataclasses.replace(settings, mongodb_uri=uri)
    with mongo.open_for_reading(settings) as database:
        minutes = read(database, user, *window, span, local_time)
        return pa.Table.from_batches(batches(minutes), schema=schema(minutes))


def _utc(time: datetime | str | None) -> datetime | None:
    if time is None:
        return None
    return times.parse_time(time) if isinstance(time, str) else times.utc(time)
