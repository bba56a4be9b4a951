"""What the API counts, as a page for Prometheus; the only module that knows its client library.

Workers count into files of one directory, so that whichever of them is asked answers
for all. A file bears its worker's name, which the next worker takes over: what one
counted before it was killed is kept, and there are never more files than workers.
"""

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    disable_created_metrics,
    multiprocess,
    values,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from locapi.errors import Misconfigured

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_OPENMETRICS = "application/openmetrics-text"
_GAUGES = "gauge_livesum"
_FILES = ("histogram", _GAUGES)  # the kinds of metric there are
_FILE_BYTES = 1 << 18  # more than all there is, so that they never grow

_ANSWERS = "locapi_answer_seconds"
_ANSWER_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCH_FIXES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
# There from the start, for a rate begins with the second value.
_EXPECTED = (
    (200, "stored"),
    (200, "duplicate"),
    (400, "invalid_fix"),
    (500, "database_unavailable"),
    (500, "overloaded"),
    (500, "internal_error"),
)

_log = logging.getLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]  # workers that count together have none


class Stored(NamedTuple):
    """What the database holds, and how far its roll-up has come."""

    raw_fixes: int
    minutes: int
    rollup_lag_s: float
    rollup_duration_s: float | None  # None where none was ever completed


class Metrics:
    """The counts of one application; in a process that shares them, make one only."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._answers = Histogram(
            _ANSWERS,
            "Time from a whole request to its answer.",
            ["code", "verdict"],
            buckets=_ANSWER_S,
            registry=own,
        )
        self._answered = {key: self._answers.labels(*key) for key in _EXPECTED}
        self._batches = Histogram(
            "locapi_batch_fixes", "Fixes that shared a commit.", buckets=_BATCH_FIXES, registry=own
        )
        self._waiting = Gauge(
            "locapi_waiting_fixes",
            "Fixes that wait for the commit before theirs to end.",
            multiprocess_mode="livesum",
            registry=own,
        )
        workers = Gauge(
            "locapi_workers", "Worker processes.", multiprocess_mode="livesum", registry=own
        )
        workers.set(1)
        self._counted: Collector = own
        if _DIRECTORY in os.environ:
            self._counted = multiprocess.MultiProcessCollector(None)  # type: ignore[no-untyped-call]

    def answered(self, code: int, verdict: str, seconds: float) -> None:
        """Note an answer and how long it took; verdicts are our words, never a client's."""
        answers = self._answered.get((code, verdict))
        if answers is None:
            answers = self._answered[code, verdict] = self._answers.labels(code, verdict)
        answers.observe(seconds)

    def sent(self, fixes: int) -> None:
        """Note how many fixes share a commit."""
        self._batches.observe(fixes)

    def waiting(self, fixes: int) -> None:
        """Note how many fixes wait for the next commit, in this process."""
        self._waiting.set(fixes)

    def page(self, accept: str, stored: Stored | None) -> tuple[bytes, str]:
        """Return a page and its Content-Type; `stored` is None where the database is away."""
        # Not the header as it came: the library fails on odd versions, and repeats them.
        form = f"{_OPENMETRICS}; version=1.0.0" if _OPENMETRICS in accept else ""
        encode, content_type = choose_encoder(form)
        return encode(_Page(self._counted, stored)), content_type


class _Page:
    """All that was counted, and what was found in the database."""

    def __init__(self, counted: Collector, stored: Stored | None) -> None:
        self._counted = counted
        self._stored = stored

    def collect(self) -> Iterable[Metric]:
        for metric in self._counted.collect():
            yield metric
            if metric.name == _ANSWERS:
                yield _total(metric)
        yield InfoMetricFamily(
            "locapi_build", "The version that runs.", value={"version": version("locapi")}
        )
        yield GaugeMetricFamily(
            "locapi_database_up",
            "1 if the database told all that is asked of it here within two seconds, else 0.",
            value=float(self._stored is not None),
        )
        if self._stored is not None:
            yield from _found(self._stored)


def _total(answers: Metric) -> Metric:
    # The histogram counts them already, which saves each request a count of its own.
    total = CounterMetricFamily(
        "locapi_answers",
        "Answers, by status code and verdict: the status of a fix, the code of an error, "
        "or ok for the rest.",
        labels=["code", "verdict"],
    )
    for sample in answers.samples:
        if sample.name == f"{_ANSWERS}_count":
            total.add_metric([sample.labels["code"], sample.labels["verdict"]], sample.value)
    return total


def _found(stored: Stored) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "locapi_raw_fixes", "Raw fixes that are kept, as the database estimates.", stored.raw_fixes
    )
    yield GaugeMetricFamily(
        "locapi_minutes", "Minutes that are kept, as the database estimates.", stored.minutes
    )
    yield GaugeMetricFamily(
        "locapi_rollup_lag_seconds",
        "How long ago the oldest fix was received that the last complete roll-up came too early "
        "for; 0 if there is none.",
        stored.rollup_lag_s,
    )
    if stored.rollup_duration_s is not None:
        yield GaugeMetricFamily(
            "locapi_rollup_duration_seconds",
            "Time that the last complete roll-up took.",
            stored.rollup_duration_s,
        )


@contextmanager
def sharing() -> Iterator[None]:
    """Let the processes spawned within count together, in a directory that goes at the end."""
    try:
        directory = tempfile.TemporaryDirectory(prefix="locapi-metrics-")
    except OSError as error:
        raise Misconfigured(
            f"no place for what workers count ({error.strerror}); "
            "set TMPDIR to a directory that can be written"
        ) from error
    with directory as os.environ[_DIRECTORY]:
        try:
            yield
        finally:
            os.environ.pop(_DIRECTORY, None)


def join(name: str) -> None:
    """Count together with the other processes, as `name`; call it before Metrics is made.

    No other living process may bear the name, nor may it have an underscore.
    """
    try:
        _take_space(name)
    except OSError as error:
        _log.warning("this worker's metrics are its own, not shared: %s", error.strerror)
        del os.environ[_DIRECTORY]
        values.ValueClass = values.MutexValue
    else:
        values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]


def leave(name: str) -> None:
    """Forget what was so only while the process of that name lived; what it counted stays."""
    multiprocess.mark_process_dead(name)  # type: ignore[no-untyped-call]


def _take_space(name: str) -> None:
    """Make the files of a process, on disk, as one that finds the disk full later is killed."""
    for kind in _FILES:
        file = Path(os.environ[_DIRECTORY], f"{kind}_{name}.db")
        if kind != _GAUGES and file.exists():
            continue
        new = file.with_suffix(".new")  # a reader takes an empty file for a broken one
        with new.open("wb") as opened:
            os.posix_fallocate(opened.fileno(), 0, _FILE_BYTES)
        new.rename(file)
