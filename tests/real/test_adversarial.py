"""Real tracks in adversarial orders: late, repeated from elsewhere, pruned in between, both forms.

Each row is sent as a local time or as an instant. Every answer and every minute must be the
reference's, and must stay so when all of it is sent once more.
"""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest
from pymongo.database import Database

from locapi.fixes.validation import EARLIEST
from locapi.ingest.store import FixStore, Receipt
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.prune import prune
from locapi.rollup.verify import Report, verify
from locapi.storage.documents import Document
from tests.support.crashing import as_fix
from tests.support.depth import PROVING, seed
from tests.support.reference import Reference, Sent, differences, fix_at

from . import reference
from .reference import Row

ROWS = {
    "buses_austin_dst": 56_918,
    "cars_darwin_adelaide": 9_485,
    "gnss_mountainview": 2_076,
    "phones_bayarea": 134_079,
    "phones_glitches": 10_796,
    "seals_alaska": 27_547,
    "ships_aleutians": 10_224,
    "ships_newyork": 3_672,
    "ships_usa": 96_327,
}
PART, SHARE = 5_000, 300
BATCH = 500 if PROVING else 150
PARTS = [(name, first) for name, rows in ROWS.items() for first in range(0, rows, PART)]
# Pairs of places beside a border, and on both sides of the date line.
PLACES = [
    ("Europe/Lisbon", 42.0306, -8.6450),
    ("Europe/Madrid", 42.0440, -8.6450),
    ("Europe/Helsinki", 65.8480, 24.1470),
    ("Europe/Stockholm", 65.8350, 24.1370),
    ("Pacific/Apia", -13.8300, -171.7700),
    ("Pacific/Pago_Pago", -14.2800, -170.7000),
    ("America/New_York", 40.7000, -74.0000),
    ("America/Chicago", 41.8000, -87.6000),
    ("Etc/GMT+10", 0.0, -150.0),
    ("Asia/Kathmandu", 27.7000, 85.3000),
]

pytestmark = pytest.mark.usefixtures("no_wait")


def cases() -> list[tuple[str, int]]:
    """Return all parts of all tracks, or one part of each, another one with each commit."""
    if PROVING:
        return PARTS
    parts = {name: [part for part in PARTS if part[0] == name] for name in ROWS}
    return [random.Random(seed(name)).choice(found) for name, found in parts.items()]


def read(track: Path, first: int) -> list[Row]:
    """Return the rows of a part that are valid anywhere; of their zones libraries agree."""
    with gzip.open(track, "rt") as lines:
        part = islice(lines, first, first + (PART if PROVING else SHARE))
        rows = list(map(json.loads, part))
    return [row for row in rows if "tz2" not in row and is_valid_anywhere(row)]


def is_valid_anywhere(row: Row) -> bool:
    """Return whether a row is valid, and its local time in any zone is one of 1970 or later."""
    time = reference.instant(row)
    return time is not None and time >= EARLIEST + timedelta(days=2)


def in_adversarial_order(rows: list[Row], choose: random.Random) -> Iterator[list[Sent]]:
    """Yield batches in which rows come late, in both forms, and again from other places."""
    sent = [as_sent(row, choose) for row in rows]
    batches = [sent[first : first + BATCH] for first in range(0, len(sent), BATCH)]
    choose.shuffle(batches)
    for number, batch in enumerate(batches):
        earlier = [fix for each in batches[: number + 1] for fix in each]
        repeats = choose.choices(earlier, k=len(batch) // 2)
        mixed = batch + [moved(fix, choose) for fix in repeats]
        # Half of the batches keep the order in which a phone sends.
        if choose.random() < 0.5:
            choose.shuffle(mixed)
        yield mixed


def as_sent(row: Row, choose: random.Random) -> Sent:
    time = reference.instant(row)
    assert time is not None
    values = {name: row[name] for name in ("user_id", "lat", "long", "accuracy", "speed")}
    fix = fix_at(time, row["tz"], **values)
    return fix if choose.random() < 0.4 else replace(fix, instant=None)


def moved(fix: Sent, choose: random.Random) -> Sent:
    """Return a repeat of a fix: in its form or as a local time, from here or from elsewhere."""
    if choose.random() < 0.2:
        fix = replace(fix, instant=None)
    return fix if choose.random() < 0.3 else fix.moved(*choose.choice(PLACES))


class Sender:
    """Sends fixes to a database and to the reference, and compares every answer."""

    def __init__(self, database: Database[Document]) -> None:
        self.reference = Reference()
        self._database, self._store = database, FixStore(database)

    def send(self, batch: list[Sent], size: int) -> None:
        for first in range(0, len(batch), size):
            part = batch[first : first + size]
            outcomes = self._store.put_many(map(as_fix, part))
            for fix, outcome in zip(part, outcomes, strict=True):
                assert isinstance(outcome, Receipt)
                assert outcome.status == self.reference.put(fix), fix
                assert outcome.fix_time in {each.instant for each in self.reference.copies(fix)}

    def rest(self) -> None:
        """Do nothing between two batches."""

    def fold(self) -> None:
        fold_new_fixes(self._database)

    def prune(self) -> None:
        prune(self._database, timedelta(0))
        self.reference.prune(list(self.reference.raw))

    def assert_same(self) -> None:
        fold_new_fixes(self._database)
        minutes = self.reference.minutes()
        assert differences(self._database.minutes.find(), minutes) == []
        assert list(verify(self._database, Report())) == []


@pytest.mark.parametrize(("name", "first"), cases())
def test_a_track_in_an_adversarial_order_equals_the_reference(
    tracks: Path, db: Database[Document], name: str, first: int
) -> None:
    choose = random.Random(seed(f"{name} {first}"))
    sender = Sender(db)
    sent: list[Sent] = []
    for batch in in_adversarial_order(read(tracks / f"{name}.ndjson.gz", first), choose):
        sender.send(batch, choose.choice([3, 30, BATCH]))
        sent += batch
        choose.choice([sender.fold, sender.prune, sender.rest])()
    sender.assert_same()
    sender.prune()
    sender.send(sent, BATCH)
    sender.assert_same()
