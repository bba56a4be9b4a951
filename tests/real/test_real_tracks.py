"""Real tracks with their faults: every answer and every minute equals the reference's."""

import gzip
import json
import math
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from pymongo.database import Database

from locapi.errors import InvalidFix
from locapi.exporters.query import read_pages
from locapi.fixes import ids, timezones, validation
from locapi.fixes.validation import EARLIEST
from locapi.ingest.store import FixStore
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.watermarks import MAX_AHEAD
from locapi.storage.documents import Document
from tests.support.depth import share

from . import reference
from .reference import Answer, Minutes, Row

ALL = [
    "buses_austin_dst",
    "cars_darwin_adelaide",
    "gnss_mountainview",
    "phones_bayarea",
    "phones_glitches",
    "seals_alaska",
    "ships_aleutians",
    "ships_newyork",
    "ships_usa",
]
WHOLE = ("1970", "2100")
# Of which file what is sent, by UTC.
SENT = {
    "buses_austin_dst": ("2015-03-07T21", "2015-03-09T01"),  # the clock goes forward between
    "cars_darwin_adelaide": WHOLE,
    "gnss_mountainview": WHOLE,
    "phones_glitches": WHOLE,
    "seals_alaska": ("2011-10", "2011-12"),  # an autumn change
    "ships_aleutians": WHOLE,
    "ships_newyork": WHOLE,
}
THREADS = 32


def read(track: Path) -> list[Row]:
    """Return a third of a track's rows, without those over whose zone libraries disagree."""
    part = share(track.name, 3)
    with gzip.open(track, "rt") as lines:
        rows = map(json.loads, islice(lines, part.start, None, part.step))
        return [row for row in rows if "tz2" not in row]


def body(row: Row) -> bytes:
    return json.dumps({name: row[name] for name in reference.FIELDS}).encode()


@pytest.mark.parametrize("name", ALL)
def test_every_row_is_accepted_or_not_and_means_the_instant_it_was_published_with(
    tracks: Path, name: str
) -> None:
    rows = read(tracks / f"{name}.ndjson.gz")
    newest: dict[str, datetime] = defaultdict(lambda: EARLIEST)
    wrong = []
    for row, answer in zip(rows, reference.answers(rows), strict=True):
        time = conclude(row, newest[row["user_id"]])
        if time != reference.instant(row):
            wrong.append((row, time))
        if time and answer and answer.status == "stored":
            newest[row["user_id"]] = max(newest[row["user_id"]], time)
    assert wrong == []


def conclude(row: Row, newest: datetime) -> datetime | None:
    """Return what locapi takes a row's time for, without a database; None is a 400."""
    try:
        fix = validation.parse(body(row))
    except InvalidFix:
        return None
    first, *second = timezones.readings(fix.wall, fix.lat, fix.long)
    time = second[0].fix_time if second and newest > first.fix_time else first.fix_time
    return time if EARLIEST <= time <= datetime.now(UTC) + MAX_AHEAD else None


@pytest.mark.parametrize("name", SENT)
def test_every_answer_and_every_exported_minute_equals_the_reference(
    tracks: Path, db: Database[Document], name: str
) -> None:
    since, until = SENT[name]
    rows = [row for row in read(tracks / f"{name}.ndjson.gz") if since <= row["utc"] < until]
    answers = reference.answers(rows)

    assert send_while_rolling_up(rows, db) == answers
    for _ in range(2):
        fold_new_fixes(db)
        assert_same(exported(db), reference.minutes(rows, answers))


def send_while_rolling_up(rows: list[Row], db: Database[Document]) -> list[Answer | None]:
    """Send the rows, each user's in their order, and return the answer to each."""
    store = FixStore(db)
    by_user: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_user[row["user_id"]].append(index)
    with ThreadPoolExecutor(THREADS) as pool:
        sent = {
            user_id: pool.submit(send, store, [rows[index] for index in indexes])
            for user_id, indexes in by_user.items()
        }
        while wait(sent.values(), timeout=2).not_done:
            fold_new_fixes(db)
    answers: list[Answer | None] = [None] * len(rows)
    for user_id, indexes in by_user.items():
        for index, answer in zip(indexes, sent[user_id].result(), strict=True):
            answers[index] = answer
    return answers


def send(store: FixStore, rows: list[Row]) -> list[Answer | None]:
    return [put(store, body(row)) for row in rows]


def put(store: FixStore, sent: bytes) -> Answer | None:
    """Do what the API does with a body; None is a 400."""
    try:
        receipt = store.put(validation.parse(sent))
    except InvalidFix:
        return None
    return Answer(receipt.status, receipt.fix_time)


def exported(db: Database[Document]) -> Minutes:
    return {
        ids.parse_minute_id(row["_id"]): {
            name: row[name] for name in ("lat", "long", "accuracy", "speed", "count")
        }
        for page in read_pages(db)
        for row in page
    }


def assert_same(minutes: Minutes, expected: Minutes) -> None:
    assert list(minutes) == sorted(expected)
    wrong = {
        key: (minutes[key], expected[key])
        for key in expected
        if differs(minutes[key], expected[key])
    }
    assert wrong == {}


def differs(minute: dict[str, float], expected: dict[str, float]) -> bool:
    errors = {name: minute[name] - expected[name] for name in expected}
    errors["long"] = math.remainder(errors["long"], 360)  # 180 and -180 are one longitude
    return not all(abs(error) <= 1e-9 for error in errors.values())
