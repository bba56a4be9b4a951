"""Minutes as Arrow: the typed batches that Parquet files and notebooks are made of."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from locapi import mongo, times
from locapi.export import LOCAL_TIME, NUMBERS, Minutes, Page, read
from locapi.settings import Settings

_WALL = pa.timestamp("us")
_TYPES = {
    "user_id": pa.string(),
    "minute": pa.timestamp("us", tz="UTC"),
    **dict.fromkeys(NUMBERS, pa.float64()),
    "count": pa.int64(),
    LOCAL_TIME: _WALL,  # without a zone: what the clock on the wall shows
}


def schema(minutes: Minutes) -> pa.Schema:
    """Return the columns' names and types."""
    return pa.schema([pa.field(name, _TYPES[name], nullable=False) for name in minutes.columns])


def batches(minutes: Minutes) -> Iterator[pa.RecordBatch]:
    """Yield a batch each page."""
    typed = schema(minutes)
    for page in minutes.pages:
        yield pa.record_batch(list(_columns(page, minutes)), schema=typed)


def _columns(page: Page, minutes: Minutes) -> Iterator[pa.Array]:
    keys = pa.array([minute["_id"] for minute in page], pa.string())
    yield pc.utf8_slice_codeunits(keys, 0, -17)
    yield pc.utf8_slice_codeunits(keys, -16).cast(_WALL).cast(_TYPES["minute"])
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
    """Return what `locapi.minutes` does."""
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
