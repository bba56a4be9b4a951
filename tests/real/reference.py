"""What the contract makes of a track's rows, worked out from their published UTC.

It shares no code with locapi, nor what locapi is made of: no rule engine, no zone map,
no database.
"""

import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Row = Mapping[str, Any]
Minutes = dict[tuple[str, datetime], dict[str, float]]

FIELDS = ("timestamp", "lat", "long", "accuracy", "speed", "user_id")
LIMITS = {
    "lat": (-90, 90),
    "long": (-180, 180),
    "accuracy": (0, sys.float_info.max),
    "speed": (0, sys.float_info.max),
}
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,6}))?", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """The answer to a fix with code 200; `fix_time` is that of its key's first fix."""

    status: str
    fix_time: datetime


def answers(rows: Iterable[Row]) -> list[Answer | None]:
    """Return the answer to each row, sent in this order to an empty database; None is a 400."""
    first: dict[tuple[str, str, int], datetime] = {}
    given: list[Answer | None] = []
    for row in rows:
        time = instant(row)
        if time is None:
            given.append(None)
            continue
        key = (row["user_id"], *_wall(row["timestamp"]))
        status = "duplicate" if key in first else "stored"
        given.append(Answer(status, first.setdefault(key, time)))
    return given


def minutes(rows: Iterable[Row], answers: Iterable[Answer | None]) -> Minutes:
    """Return the plain means and the count of the stored rows, by user and UTC minute."""
    stored: dict[tuple[str, datetime], list[Row]] = defaultdict(list)
    for row, answer in zip(rows, answers, strict=True):
        if answer and answer.status == "stored":
            minute = answer.fix_time.replace(second=0, microsecond=0)
            stored[row["user_id"], minute].append(row)
    return {key: _average(fixes) for key, fixes in stored.items()}


def instant(row: Row) -> datetime | None:
    """Return the UTC instant of a row to the millisecond, or None where the row is invalid."""
    user_id = row["user_id"]
    if not isinstance(user_id, str) or not re.fullmatch(r"[^\x00-\x1f\x7f-\x9f]{1,128}", user_id):
        return None
    if not all(_is_within(row[name], *limits) for name, limits in LIMITS.items()):
        return None
    try:
        second, milliseconds = _wall(row["timestamp"])
        datetime.fromisoformat(second)  # is it in the calendar?
    except (TypeError, ValueError):
        return None
    # The published UTC has whole seconds; no zone's offset has a fraction of one.
    time = datetime.fromisoformat(row["utc"]) + timedelta(milliseconds=milliseconds)
    earliest, latest = datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
    return time if earliest <= time <= latest else None


def _wall(timestamp: str) -> tuple[str, int]:
    """Return the local second and the milliseconds within it."""
    match = TIMESTAMP.fullmatch(timestamp)
    if not match:
        raise ValueError(timestamp)
    return match[1], int(((match[2] or "") + "000")[:3])


def _is_within(value: Any, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high


def _average(fixes: list[Row]) -> dict[str, float]:
    means = {name: math.fsum(fix[name] for fix in fixes) / len(fixes) for name in LIMITS}
    longs = [fix["long"] for fix in fixes]
    return {**means, "long": _mean_longitude(longs), "count": len(fixes)}


def _mean_longitude(longs: list[float]) -> float:
    if max(longs) - min(longs) > 180:
        longs = [long + 360 if long < 0 else long for long in longs]
    mean = math.fsum(longs) / len(longs)
    return mean - 360 if mean > 180 else mean
