"""Files' rows into the raw fixes, by the rules and in the order of the API."""

import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from typing import Any, NamedTuple

from locapi import schema, utc
from locapi.batches import BatchStore, Verdict
from locapi.errors import (
    RETRY_AFTER_S,
    DatabaseUnavailable,
    InvalidFix,
    LocapiError,
    Misconfigured,
    UnreadableFile,
)
from locapi.fixes import out_of_range
from locapi.readers.rows import Row
from locapi.schema import Fix

BATCH = 1_000
PATIENCE_S = 300
_MOST_REASONS = 1_000
# ISO 8601's `T` and an offset, or as databases write it, with a space and an offset in figures.
# A space and no offset, or what looks like it, is the API's local time.
_OFFSET = r"[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?"
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T| (?=.*[+-]))"
    rf"([0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(?:\.[0-9]+)?) ?(Z|{_OFFSET})"
)


class Outcome(NamedTuple):
    """A row, and what became of it."""

    row: Row
    verdict: Verdict


@dataclass
class Tally:
    """How many rows became what, and how many were rejected for each reason."""

    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """Return how many rows it counts."""
        return self.stored + self.duplicate + self.rejected

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count what became of some rows."""
        for _, verdict in outcomes:
            if isinstance(verdict, InvalidFix):
                self.rejected += 1
                self.reasons.update(map(self._bounded, reasons(verdict)))
            elif verdict == "stored":
                self.stored += 1
            else:
                self.duplicate += 1

    def _bounded(self, told: str) -> str:
        reason = told.partition(" (sent: ")[0]  # counted whatever the value was
        known = reason in self.reasons or len(self.reasons) < _MOST_REASONS
        return reason if known else "other reasons"


def reasons(fault: InvalidFix) -> list[str]:
    """Return why a row is no fix, for each field or as a whole."""
    told = [f"{name}: {each}" for name, faults in fault.fields.items() for each in faults]
    return told or [str(fault)]


def import_rows(
    store: BatchStore,
    rows: Iterable[Row],
    away: Callable[[DatabaseUnavailable], None] = lambda _: None,
) -> Generator[list[Outcome], None, None]:
    """Put the fixes among the rows, in order, and yield what became of them batch by batch.

    What is yielded is on disk, or rejected for good. While one batch is on its way
    the next is read. Where the database is away, `away` is told and the batch tried
    again, for five minutes; then DatabaseUnavailable is raised. May be repeated,
    and stopped at any moment.
    """
    stop = Event()
    with ThreadPoolExecutor(1, "locapi-imports") as storing:

        def put(batch: list[Row], judged: list[Fix | InvalidFix]) -> list[Outcome]:
            fixes = [each for each in judged if isinstance(each, Fix)]
            verdicts = iter(_patiently(store, fixes, away, stop))
            return [
                Outcome(row, each if isinstance(each, InvalidFix) else next(verdicts))
                for row, each in zip(batch, judged, strict=True)
            ]

        try:
            before: Future[list[Outcome]] | None = None
            broken: LocapiError | None = None
            for batch, broken in _batches(rows):  # noqa: B007  it is raised once all is stored
                judged = [judge(row) for row in batch]
                if before is not None:
                    yield before.result()
                before = storing.submit(put, batch, judged)
            if before is not None:
                yield before.result()
            if broken is not None:
                raise broken
        finally:
            stop.set()  # what is on its way is waited for, but no longer for the database


def _batches(rows: Iterable[Row]) -> Iterator[tuple[list[Row], LocapiError | None]]:
    """Yield rows by batches, the last one with the error that ended them."""
    batch, broken = [], None
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                yield batch, None
                batch = []
    except (Misconfigured, UnreadableFile) as error:
        broken = error
    yield batch, broken


def _patiently(
    store: BatchStore,
    fixes: list[Fix],
    away: Callable[[DatabaseUnavailable], None],
    stop: Event,
) -> list[Verdict]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return store.put_many(fixes)
        except DatabaseUnavailable as error:
            away(error)
            if stop.wait(RETRY_AFTER_S) or time.monotonic() > deadline:
                raise


def judge(row: Row) -> Fix | InvalidFix:
    """Return the fix that a row is, or why it is none."""
    if isinstance(row.fix, InvalidFix):
        return row.fix
    try:
        return _fix(row.fix)
    except InvalidFix as fault:
        return fault


def _fix(fields: dict[str, Any]) -> Fix:
    instant = _instant(fields.get("timestamp"))
    if instant is None:
        return schema.judge(fields)
    # By the rules first: only then it is known to have a position.
    fix = schema.judge({**fields, "timestamp": _text(instant.replace(tzinfo=None))})
    try:
        wall = utc.wall_at(instant, fix.lat, fix.long)
    except OverflowError as error:  # beside the first and the last year of the calendar
        raise out_of_range(instant.year, fix) from error
    return fix._replace(local_time=_text(wall), wall=wall, fix_time=instant)


def _instant(timestamp: Any) -> datetime | None:
    """Return the UTC instant, by milliseconds, that a time with an offset means."""
    found = _INSTANT.fullmatch(timestamp) if isinstance(timestamp, str) else None
    if found is None:
        return None
    date, clock, offset = found.groups()
    try:
        instant = datetime.fromisoformat(f"{date}T{clock}{offset}").astimezone(UTC)
    except (OverflowError, ValueError):  # no date of the calendar; the rules will say so
        return None
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _text(wall: datetime) -> str:
    return wall.isoformat(" ", "milliseconds" if wall.microsecond else "seconds")
