"""The database commands behind /readyz and /metrics, which all requests of a second share.

Anyone may send these requests, as often as they like, so they must not slow down PUT.
"""

from concurrent.futures import ThreadPoolExecutor

import pymongo
from pymongo.database import Database

from locapi import logs
from locapi.concurrency import greenlets
from locapi.concurrency.coalescing import CachedRead
from locapi.errors import LocapiError
from locapi.monitoring import backlog
from locapi.monitoring.backlog import Stored
from locapi.monitoring.error_log import ErrorLog
from locapi.monitoring.metrics import Metrics, Page, Pages, choose_page
from locapi.storage import driver_errors
from locapi.storage.documents import FIXES, Document

MAX_AGE_S = 1.0
READY_DEADLINE_S = 2

# One for each of the two: neither waits for the threads of PUT, nor takes one of them.
_threads = ThreadPoolExecutor(2, thread_name_prefix="locapi-probes")


class Probes:
    """What the two endpoints return, renewed at most once in `MAX_AGE_S`."""

    def __init__(
        self, database: Database[Document], metrics: Metrics, metrics_log: ErrorLog
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._metrics_log = metrics_log
        self._write = CachedRead(greenlets.run_in_thread(self._try_write, _threads), MAX_AGE_S)
        self._pages = CachedRead(greenlets.run_in_thread(self._read_pages, _threads), MAX_AGE_S)

    def check_ready(self) -> None:
        """Raise DatabaseUnavailable or DatabaseRefused unless the database takes writes."""
        if (error := self._write()) is not None:
            raise error.with_traceback(None)

    def metrics_page(self, accept: str) -> Page:
        """Return the metrics in a format that the Accept header allows."""
        return choose_page(self._pages(), accept)

    def _try_write(self) -> LocapiError | None:
        """Return the error as a result, because an error is not cached."""
        try:
            with driver_errors.translated(), pymongo.timeout(READY_DEADLINE_S):
                # It changes nothing, but a majority has to confirm it too.
                self._database[FIXES].delete_one({"_id": ""})
        except LocapiError as error:
            return error
        return None

    def _read_pages(self) -> Pages:
        stored: Stored | None = None
        try:
            stored = backlog.read(self._database)
        except LocapiError as error:
            self._metrics_log.failed(logs.template(str(error)), str(error))
        else:
            self._metrics_log.succeeded()
        return self._metrics.pages(stored)
