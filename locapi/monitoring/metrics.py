"""Count what the API does, for Prometheus; the only module that knows its client library.

Workers count into files of one directory (the library's multiprocess mode), so that each of
them can report the sums over all.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    multiprocess,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from locapi.errors import Misconfigured
from locapi.monitoring.backlog import Stored

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_TEXT = ""  # of Prometheus, by default
_OPENMETRICS = "application/openmetrics-text"

_ANSWERS = "locapi_answer_seconds"
_ANSWER_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCH_FIXES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
# Present from the start, because a rate needs two values.
_EXPECTED = (
    (200, "stored"),
    (200, "duplicate"),
    (400, "invalid_fix"),
    (500, "database_unavailable"),
    (500, "overloaded"),
    (500, "internal_error"),
)

_RESULTS = [
    *(("locations", status) for status in ("stored", "duplicate", "invalid", "forbidden")),
    *(
        (endpoint, status)
        for endpoint in ("owntracks", "overland")
        for status in ("stored", "duplicate", "invalid")
    ),
]

disable_created_metrics()  # type: ignore[no-untyped-call]  # multiprocess mode has none


class Page(NamedTuple):
    """All metrics in one format."""

    content: bytes
    content_type: str


Pages = Mapping[str, Page]  # by format


class Metrics:
    """The metrics of one application; create one in a process that shares its metrics."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._answers = Histogram(
            _ANSWERS,
            "Time from the end of a request to its response.",
            ["code", "verdict"],
            buckets=_ANSWER_S,
            registry=own,
        )
        self._answered = {key: self._answers.labels(*key) for key in _EXPECTED}
        self._batches = Histogram(
            "locapi_batch_fixes",
            "Fixes in one group commit: more under load, and with a slow database.",
            buckets=_BATCH_FIXES,
            registry=own,
        )
        self._received = Counter(
            "locapi_batch_results_total",
            "Fixes sent to POST /locations, /owntracks and /overland, and what became of each.",
            ["endpoint", "status"],
            registry=own,
        )
        for result in _RESULTS:
            self._received.labels(*result)
        self._waiting = Gauge(
            "locapi_waiting_fixes",
            "Fixes that wait for the next group commit, in all workers.",
            multiprocess_mode="livesum",
            registry=own,
        )
        workers = Gauge(
            "locapi_workers",
            "Worker processes that are alive.",
            multiprocess_mode="livesum",
            registry=own,
        )
        workers.set(1)
        self._shared = _DIRECTORY in os.environ
        self._counted: Collector = own
        if self._shared:
            self._counted = multiprocess.MultiProcessCollector(None)  # type: ignore[no-untyped-call]

    def answered(self, code: int, verdict: str, seconds: float) -> None:
        """Count a response and its time; a verdict is never a client's word."""
        answers = self._answered.get((code, verdict))
        if answers is None:
            answers = self._answered[code, verdict] = self._answers.labels(code, verdict)
        answers.observe(seconds)

    def received(self, endpoint: str, statuses: Mapping[str, int]) -> None:
        """Count the fixes of one request by what became of them; no word is a client's."""
        for status, fixes in statuses.items():
            self._received.labels(endpoint, status).inc(fixes)

    def sent(self, fixes: int) -> None:
        """Count a group commit of so many fixes."""
        self._batches.observe(fixes)

    def waiting(self, fixes: int) -> None:
        """Set how many fixes wait for the next group commit in this process; many, to the ten."""
        if fixes < 10 or fixes % 10 == 0:  # setting a shared gauge takes a while
            self._waiting.set(fixes)

    def pages(self, stored: Stored | None) -> Pages:
        """Return a page in each format; `stored` is None if the database is unavailable."""
        if self._shared:
            _forget_ended_workers()
        found = _Collected(list(_collect(self._counted, stored)))
        return {form: _encode(found, form) for form in (_TEXT, _OPENMETRICS)}


def choose_page(pages: Pages, accept: str) -> Page:
    """Return the page in a format that an Accept header allows."""
    # The library's own choice fails on odd versions, and repeats them.
    return pages[_OPENMETRICS if _OPENMETRICS in accept else _TEXT]


def _encode(found: Collector, form: str) -> Page:
    encode, content_type = choose_encoder(form and f"{form}; version=1.0.0")
    return Page(encode(found), content_type)


class _Collected(NamedTuple):
    """Metrics that were collected once, for several formats."""

    families: list[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def _collect(counted: Collector, stored: Stored | None) -> Iterator[Metric]:
    """Yield all that was counted, and what was found in the database."""
    for metric in counted.collect():
        yield metric
        if metric.name == _ANSWERS:
            yield _total(metric)
    yield InfoMetricFamily(
        "locapi_build",
        "Always 1; the label has the version that runs.",
        value={"version": version("locapi")},
    )
    yield GaugeMetricFamily(
        "locapi_database_up",
        "1 if the database answered the queries of this page within two seconds, else 0.",
        value=float(stored is not None),
    )
    if stored is not None:
        yield from _found(stored)


def _total(answers: Metric) -> Metric:
    # The histogram has the count, so a request does not pay for a counter of its own.
    total = CounterMetricFamily(
        "locapi_answers",
        "Responses by status code and verdict: stored or duplicate for a fix, the code of an "
        "error such as invalid_fix, or ok for the rest.",
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
        "Age of the oldest fix that is not rolled up yet; 0 if there is none.",
        stored.rollup_lag_s,
    )
    yield GaugeMetricFamily(
        "locapi_quarantined_minutes",
        "Minutes that the roll-up leaves out because they cannot be folded.",
        stored.quarantined_minutes,
    )
    if stored.rollup_duration_s is not None:
        yield GaugeMetricFamily(
            "locapi_rollup_duration_seconds",
            "Duration of the last complete roll-up, without pruning.",
            stored.rollup_duration_s,
        )


@contextmanager
def shared_directory() -> Iterator[None]:
    """Let the processes that are spawned meanwhile count together, in a temporary directory."""
    try:
        directory = tempfile.TemporaryDirectory(prefix="locapi-metrics-")
    except OSError as error:
        raise Misconfigured(
            f"cannot create a directory for the workers' metrics: {error.strerror}. "
            "Set TMPDIR to a writable directory."
        ) from error
    with directory as os.environ[_DIRECTORY]:
        try:
            yield
        finally:
            del os.environ[_DIRECTORY]


def _forget_ended_workers() -> None:
    """Remove the gauges of processes that have ended; what they counted stays."""
    for file in Path(os.environ[_DIRECTORY]).glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # another worker was faster
                multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
