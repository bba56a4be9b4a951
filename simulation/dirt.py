"""Make rows that the API must refuse: a good fix with one fault, or no fix at all."""

import json
import math
from collections.abc import Iterator

NUMBERS = ("lat", "long", "accuracy", "speed")

OUT_OF_RANGE: tuple[tuple[str, object], ...] = (
    ("lat", 90.001),
    ("lat", -91),
    ("long", 180.5),
    ("long", -1000),
    ("accuracy", -1),
    ("speed", -0.5),
    ("timestamp", "1969-12-30 13:05:00"),
    ("timestamp", "9999-12-31 23:59:59"),
    ("user_id", ""),
    ("user_id", "x" * 129),
)

WRONG_FORMAT: tuple[tuple[str, object], ...] = (
    ("timestamp", "2017-01-02T13:05:00"),
    ("timestamp", "2017-01-02 13:05"),
    ("timestamp", "2017-1-2 13:05:00"),
    ("timestamp", "2017-02-30 13:05:00"),
    ("timestamp", "2017-01-02 24:00:00"),
    ("timestamp", "2017-01-02 13:05:60"),
    ("timestamp", "2017-01-02 13:05:00."),
    ("timestamp", "2017-01-02 13:05:00.1234567"),
    ("timestamp", "2017-01-02 13:05:00Z"),
    ("timestamp", "2017-01-02 13:05:00\n"),
    ("timestamp", "01/02/2017 13:05:00"),
    ("timestamp", "\u0662\u0660\u0661\u0667-01-02 13:05:00"),  # 2017 in Arabic digits
    ("timestamp", 1483380300),
    ("user_id", 7),
    ("user_id", "line\nbreak"),
    ("user_id", "\ud800"),
    ("altitude", 12.0),
)

NO_FIX = (
    "null",
    "[]",
    "3",
    '"a fix"',
    "{}",
    "{",
    "not JSON at all",
    "[" * 1_000 + "]" * 1_000,
    '{"lat": 1e999}',
)


def dirty(good: dict[str, object]) -> Iterator[str]:
    """Yield every kind of bad row made from one good fix, each a line of text."""
    for left_out in good:
        yield json.dumps({name: value for name, value in good.items() if name != left_out})
    for name in good:
        yield from (json.dumps({**good, name: value}) for value in (None, True, [1]))
    for name in NUMBERS:
        yield from (json.dumps({**good, name: value}) for value in ("12.5", math.nan, math.inf))
    for name, value in OUT_OF_RANGE + WRONG_FORMAT:
        yield json.dumps({**good, name: value})
    yield from NO_FIX
    text = json.dumps(good)
    yield text[:-1]
    yield text[:-1] + ', "lat": 1.0}'  # a key given twice
    yield json.dumps({**good, "user_id": "x" * 9000})
