"""How a fix and a minute are named, so that a name alone tells what it names.

A key is the user, a tab, and a time of fixed width: a user_id has no control
character, so keys sort by user and then by time, and one user's are one range.
"""

import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

SLICES = 128  # of all users; stored with each raw fix, so never to be changed

_OFFSET_STEP_S = 30  # every UTC offset since 1970 is a multiple (Monrovia until 1972: -44:30)
_MINUTE_MS = 60_000


def slice_of(user_id: str) -> int:
    """Return the slice that a user's raw fixes belong to, the same for ever."""
    return zlib.crc32(user_id.encode()) % SLICES


def fix_id(user_id: str, wall: datetime) -> str:
    """Return the `_id` of the fix sent for the naive local time `wall`, by milliseconds."""
    return f"{user_id}\t{wall.isoformat(' ', 'milliseconds')}"


def minute_id(user_id: str, time: datetime) -> str:
    """Return the `_id` of the UTC minute that holds the UTC instant `time`."""
    return f"{user_id}\t{time.isoformat()[:16]}"


def mark(time: datetime, utc_offset: int) -> int:
    """Return the fix's place in its minute's `seen`: milliseconds and UTC offset in one int32.

    `time` is a UTC instant, `utc_offset` in seconds. Together with the minute's
    key it says the same as `fix_id`: two local timestamps may mean one instant.
    """
    milliseconds = time.second * 1000 + time.microsecond // 1000
    return utc_offset // _OFFSET_STEP_S * _MINUTE_MS + milliseconds


def seen_time(minute: datetime, mark: int) -> datetime:
    """Return the UTC instant of the fix that `mark` stands for in the UTC minute `minute`."""
    return minute + timedelta(milliseconds=mark % _MINUTE_MS)


def seen_fix_id(minute_id: str, mark: int) -> str:
    """Return the `_id` of the raw fix that `mark` stands for in the minute named `minute_id`."""
    user_id, minute = parse_minute_id(minute_id)
    utc_offset = timedelta(seconds=mark // _MINUTE_MS * _OFFSET_STEP_S)
    return fix_id(user_id, (seen_time(minute, mark) + utc_offset).replace(tzinfo=None))


def of_minute(minute_id: str) -> dict[str, Any]:
    """Return the query for the raw fixes of the minute named `minute_id`."""
    user_id, start = parse_minute_id(minute_id)
    return between(user_id, {"$gte": start, "$lt": start + timedelta(minutes=1)})


def between(user_id: str, fix_time: dict[str, datetime]) -> dict[str, Any]:
    """Return the query for a user's raw fixes of some time; hint at `layout.BY_USER_AND_TIME`.

    The keys are asked for too, which select nothing, for a router to know the shards by.
    """
    return {"_id": of_user(user_id), "user_id": user_id, "fix_time": fix_time}


def parse_minute_id(minute_id: str) -> tuple[str, datetime]:
    """Return the user and the UTC minute that a minute's `_id` names."""
    user_id, minute = minute_id.split("\t")
    return user_id, datetime.fromisoformat(minute).replace(tzinfo=UTC)


def of_user(user_id: str) -> dict[str, str]:
    """Return the range query that matches the keys of one user."""
    return {"$gte": f"{user_id}\t", "$lt": f"{user_id}\n"}  # \n is the character after \t
