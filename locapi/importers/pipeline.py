"""Store the fixes among a file's rows in batches, by the API's rules and in the file's order."""

import gc
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import NamedTuple

from locapi.errors import RETRY_AFTER_S, DatabaseUnavailable, InvalidFix
from locapi.fixes.validation import Fix
from locapi.importers import reasons, rejects
from locapi.importers.fields import FIELDS
from locapi.importers.judge import judge
from locapi.importers.row import BrokenFile, Row
from locapi.ingest.store import FixStore, Receipt, Status

BATCH = 1_000
PATIENCE_S = 300
_GC_THRESHOLD = 50_000  # more objects than the batches in memory have


Verdict = Status | InvalidFix


class Outcome(NamedTuple):
    """What became of a row; of one that is rejected also what stood there, as JSON."""

    place: str
    verdict: Verdict
    content: str = ""


class _Judged(NamedTuple):
    place: str
    fix: Fix | InvalidFix
    content: str


def import_rows(
    store: FixStore,
    rows: Iterable[Row],
    on_retry: Callable[[DatabaseUnavailable], None] = lambda _: None,
) -> Generator[list[Outcome], None, None]:
    """Store the fixes among the rows, in order, and yield the outcomes batch by batch.

    An outcome is yielded once its fix is on disk. The next batch is read while one is
    stored. While the database does not answer, the batch is tried again for five
    minutes, with a call of `on_retry` each time; then DatabaseUnavailable is raised.
    May be stopped at any moment and repeated: a fix that is stored stays as it is.
    """
    stop = Event()
    with _rare_garbage_collection(), ThreadPoolExecutor(1, "locapi-import") as executor:

        def put(batch: list[_Judged]) -> list[Outcome]:
            fixes = [each.fix for each in batch if isinstance(each.fix, Fix)]
            verdicts = iter(_put_patiently(store, fixes, on_retry, stop))
            return [_outcome(each, verdicts) for each in batch]

        try:
            previous: Future[list[Outcome]] | None = None
            error: BrokenFile | None = None
            for batch, error in _batches(rows):  # noqa: B007  raised once all rows are stored
                if previous is not None:
                    yield previous.result()
                previous = executor.submit(put, batch)
            if previous is not None:
                yield previous.result()
            if error is not None:
                raise error
        finally:
            stop.set()  # a batch in progress is finished, but not tried again


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Look for reference cycles less often: it took an eighth of the time, and few are made."""
    thresholds = gc.get_threshold()
    gc.set_threshold(_GC_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _batches(rows: Iterable[Row]) -> Iterator[tuple[list[_Judged], BrokenFile | None]]:
    """Yield batches of rows, the last one with the error that ended the rows."""
    batch, ended_by = [], None
    try:
        for row in rows:
            # Of a row only what is needed further is kept, whatever size it has.
            fix = judge(row)
            content = rejects.as_json(row.content) if isinstance(fix, InvalidFix) else ""
            batch.append(_Judged(row.place, fix, content))
            if len(batch) == BATCH:
                yield batch, None
                batch = []
    except BrokenFile as error:
        ended_by = error
    yield batch, ended_by


def _put_patiently(
    store: FixStore,
    fixes: list[Fix],
    on_retry: Callable[[DatabaseUnavailable], None],
    stop: Event,
) -> list[Receipt | InvalidFix]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return store.put_many(fixes)
        except DatabaseUnavailable as error:
            on_retry(error)
            if stop.wait(RETRY_AFTER_S) or time.monotonic() > deadline:
                raise


def _outcome(judged: _Judged, verdicts: Iterator[Receipt | InvalidFix]) -> Outcome:
    place, fix, content = judged
    if isinstance(fix, InvalidFix):
        return Outcome(place, fix, content)
    verdict = next(verdicts)
    if isinstance(verdict, Receipt):
        return Outcome(place, verdict.status)
    # The only fault that is found this late is a time out of range.
    values = {**fix._asdict(), "timestamp": fix.fix_time or fix.local_time}
    fields = {field: values[field] for field in FIELDS}
    return Outcome(place, reasons.out_of_range(values["timestamp"]), rejects.as_json(fields))
