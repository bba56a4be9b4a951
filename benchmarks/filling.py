"""Fill a scratch database with minutes, and with raw fixes that they count."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from bson import Timestamp
from pymongo.database import Database

from locapi import keys
from locapi.mongo import FIXES, MINUTES, Document

START = datetime(2017, 1, 1, tzinfo=UTC)
MINUTES_A_USER = 10_000
FIXES_A_MINUTE = 6
_BATCH = 10_000
_NAMES = ("lat", "long", "accuracy", "speed")


def fill_minutes(database: Database[Document], count: int) -> None:
    """Insert minutes of six fixes each, as a roll-up leaves them, with numbers of all digits."""
    _insert(database, MINUTES, _minutes(count))


def fill_fixes(database: Database[Document], count: int) -> None:
    """Insert the raw fixes, received an hour ago, of the first minutes that `fill_minutes` made."""
    _insert(database, FIXES, _fixes(count))


def _insert(database: Database[Document], name: str, documents: Iterator[Document]) -> None:
    while batch := list(islice(documents, _BATCH)):
        database[name].insert_many(batch, ordered=False)


def _named(place: int) -> Document:
    user, minute = divmod(place, MINUTES_A_USER)
    return {"user_id": f"user{user:03}", "minute": START + timedelta(minutes=minute)}


def _marks(minute: datetime) -> list[int]:
    step = timedelta(minutes=1) / FIXES_A_MINUTE
    return [keys.mark(minute + step * number, 0) for number in range(FIXES_A_MINUTE)]


def _minutes(count: int) -> Iterator[Document]:
    chance = random.Random(1)  # noqa: S311  repeatable, not secret
    for named in map(_named, range(count)):
        sums = {name: 360 * chance.random() for name in _NAMES}
        yield {
            "_id": keys.minute_id(named["user_id"], named["minute"]),
            **{f"{name}_sum": total for name, total in sums.items()},
            "long_min": sums["long"] / FIXES_A_MINUTE,
            "long_max": sums["long"] / FIXES_A_MINUTE,
            "west": 0,
            "seen": _marks(named["minute"]),
            **named,
            "count": FIXES_A_MINUTE,
            **{name: total / FIXES_A_MINUTE for name, total in sums.items()},
        }


def _fixes(count: int) -> Iterator[Document]:
    hour_ago = Timestamp(datetime.now(UTC) - timedelta(hours=1), 0).time
    for number in range(count):
        named = _named(number // FIXES_A_MINUTE)
        mark = _marks(named["minute"])[number % FIXES_A_MINUTE]
        minute_id = keys.minute_id(named["user_id"], named["minute"])
        fix_id = keys.seen_fix_id(minute_id, mark)
        fix_time = keys.seen_time(named["minute"], mark)
        yield {
            "_id": fix_id,
            "user_id": named["user_id"],
            "local_time": fix_id.split("\t")[1],
            **dict.fromkeys(_NAMES, 10.0),
            "fix_time": fix_time,
            "tz": "Etc/UTC",
            "utc_offset": 0,
            "received_at": Timestamp(hour_ago, number + 1),
            "minute_id": minute_id,
            "mark": mark,
        }
