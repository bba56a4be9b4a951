"""Requests in progress share one read, whose result is used for a while."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from locapi.concurrency.coalescing import CachedRead
from tests.support.processes import DEADLINE_S

CALLERS = 64


def test_callers_share_one_read_and_its_result_is_kept() -> None:
    started, release = threading.Semaphore(0), threading.Event()
    results = iter(range(100))

    def read() -> int:
        started.release()
        assert release.wait(DEADLINE_S)
        return next(results)

    cached = CachedRead(read)
    with ThreadPoolExecutor(CALLERS) as threads:
        futures = [threads.submit(cached) for _ in range(CALLERS)]
        assert started.acquire(timeout=DEADLINE_S)
        release.set()
        assert {future.result(DEADLINE_S) for future in futures} == {0}
    assert cached() == 0


def test_a_result_that_is_too_old_is_read_again() -> None:
    results = iter([None, 1])
    cached = CachedRead(lambda: next(results), max_age_s=0.0)
    assert [cached(), cached()] == [None, 1]


def test_an_error_reaches_the_caller_and_is_not_kept() -> None:
    failures = iter([True, False])

    def read() -> str:
        if next(failures):
            raise ConnectionError
        return "read"

    cached = CachedRead(read)
    with pytest.raises(ConnectionError):
        cached()
    assert cached() == "read"
