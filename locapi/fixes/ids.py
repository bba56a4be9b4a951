"""Make and read the `_id`s of fixes and minutes; every other module takes them as they are.

An id is the user, a tab, and a time of fixed width: `a1<tab>2017-01-01 13:05:12.000` is a
fix, by its local time; `a1<tab>2017-01-01T18:05` is a minute, in UTC. A user_id has no
control characters, so ids sort by user and then by time, and those of one user are one range.
"""

import zlib
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

SLICES = 128  # stored with each raw fix, so it can never change
MINUTE_WIDTH = 16  # characters of a minute's time, 2017-01-01T18:05

_USER, _MINUTE = slice(None, -MINUTE_WIDTH - 1), slice(-MINUTE_WIDTH, None)
_DAY_ID = slice(None, -6)  # a1<tab>2017-01-01
_BEFORE_CLOCK, _CLOCK = slice(None, -5), slice(-5, None)  # _CLOCK: 18:05
_OFFSET_STEP_S = 30  # every UTC offset since 1970 is a multiple (Monrovia until 1972: -44:30)
_MINUTE_MS = 60_000


def slice_of(user_id: str) -> int:
    """Return the slice that a user's raw fixes belong to; it never changes."""
    return zlib.crc32(user_id.encode()) % SLICES


def fix_id(user_id: str, wall: datetime, utc_offset: int | None = None) -> str:
    """Return the `_id` of the fix with the naive local time `wall`, cut to milliseconds.

    With a UTC offset in seconds, return that of an instant whose local time is taken by
    another instant: `a1<tab>2017-11-05 01:30:00.000-05:00`.
    """
    if utc_offset is not None:
        wall = wall.replace(tzinfo=timezone(timedelta(seconds=utc_offset)))
    return f"{user_id}\t{wall.isoformat(' ', 'milliseconds')}"


def minute_id(user_id: str, time: datetime) -> str:
    """Return the `_id` of the UTC minute that holds the UTC instant `time`."""
    return f"{user_id}\t{time.isoformat()[:MINUTE_WIDTH]}"


def parse_minute_id(minute_id: str) -> tuple[str, datetime]:
    """Return the user and the UTC minute."""
    return minute_id[_USER], datetime.fromisoformat(minute_id[_MINUTE]).replace(tzinfo=UTC)


def is_minute_id(value: object) -> bool:
    """Return whether a value is the `_id` of a minute."""
    try:
        return isinstance(value, str) and minute_id(*parse_minute_id(value)) == value
    except ValueError:
        return False


def split_minute_id(minute_id: str) -> tuple[str, str]:
    """Return the user and the UTC minute as ISO 8601 text: `2017-01-01T18:05:00Z`."""
    return minute_id[_USER], f"{minute_id[_MINUTE]}:00Z"


def start_of(minute_id: str) -> str:
    """Return when the minute starts as ISO 8601 text: `2017-01-01T18:05:00Z`."""
    return f"{minute_id[_MINUTE]}:00Z"


def user_of(minute_id: str) -> str:
    """Return the user."""
    return minute_id[_USER]


def day_id(minute_id: str) -> str:
    """Return what the ids of a user's minutes of one UTC day begin with: user, tab and day."""
    return minute_id[_DAY_ID]


def parse_day_id(day_id: str) -> tuple[str, str]:
    """Return the user and the UTC day as ISO 8601 text: `2017-01-01`."""
    user_id, day = day_id.split("\t")
    return user_id, day


def minute_of_day(minute_id: str) -> int:
    """Return how many minutes after midnight, UTC, the minute starts."""
    hours, minutes = minute_id[_CLOCK].split(":")
    return int(hours) * 60 + int(minutes)


def bucket_ids(span: timedelta) -> Callable[[str], str]:
    """Return a function from a minute's id to the id of its bucket: the bucket's first minute.

    `span` is a whole number of minutes that divides a day.
    """
    minutes = span // timedelta(minutes=1)
    # A table of the day is ten times as fast as calculating with the time.
    starts = {_clock(minute): _clock(minute // minutes * minutes) for minute in range(24 * 60)}

    def bucket_id(minute_id: str) -> str:
        return minute_id[_BEFORE_CLOCK] + starts[minute_id[_CLOCK]]

    return bucket_id


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def seen_code(time: datetime, utc_offset: int) -> int:
    """Return the code of a fix in its minute's `seen`: milliseconds and UTC offset in one int32.

    `time` is a UTC instant, `utc_offset` is in seconds. Minute id and seen code together
    give a fix's instant and local time, which is all that identifies it.
    """
    milliseconds = time.second * 1000 + time.microsecond // 1000
    return utc_offset // _OFFSET_STEP_S * _MINUTE_MS + milliseconds


def seen_time(minute: datetime, code: int) -> datetime:
    """Return the UTC instant of the fix with this seen code in the UTC minute `minute`."""
    return minute + timedelta(milliseconds=code % _MINUTE_MS)


def seen_milliseconds(code: str) -> dict[str, Any]:
    """Return the expression for the milliseconds within the minute of a seen code."""
    # MongoDB's remainder of a negative number is negative.
    return {"$mod": [{"$add": [code, 2**15 * _MINUTE_MS]}, _MINUTE_MS]}


def seen_utc_offset(code: int) -> int:
    """Return the UTC offset, in seconds, of the fix with this seen code."""
    return code // _MINUTE_MS * _OFFSET_STEP_S


def seen_fix_ids(minute_id: str, code: int) -> tuple[str, str]:
    """Return the two `_id`s that the fix with this seen code can have: see `fix_id`."""
    user_id, minute = parse_minute_id(minute_id)
    utc_offset = seen_utc_offset(code)
    time = seen_time(minute, code) + timedelta(seconds=utc_offset)
    wall = time.replace(tzinfo=None)
    return fix_id(user_id, wall), fix_id(user_id, wall, utc_offset)


def of_minute(minute_id: str) -> dict[str, Any]:
    """Return the query for the raw fixes of a minute; hint at `BY_USER_AND_TIME`."""
    user_id, start = parse_minute_id(minute_id)
    return between(user_id, {"$gte": start, "$lt": start + timedelta(minutes=1)})


def between(user_id: str, fix_time: dict[str, datetime]) -> dict[str, Any]:
    """Return the query for a user's raw fixes of some time; hint at `BY_USER_AND_TIME`.

    The range of ids excludes nothing, but lets a router find the user's shards.
    """
    return {"_id": of_user(user_id), "user_id": user_id, "fix_time": fix_time}


def among(ids: Collection[str]) -> dict[str, Any]:
    """Return the query for these ids, at least one.

    The range excludes nothing: for `$in` alone MongoDB reads all of a clustered collection.
    """
    return {"$in": list(ids), "$gte": min(ids), "$lte": max(ids)}


def of_user(user_id: str) -> dict[str, str]:
    """Return the query for the ids of one user."""
    return {"$gte": f"{user_id}\t", "$lt": f"{user_id}\n"}  # \n is the character after \t
