"""A repeated error is logged once, counted, and its recovery is logged."""

import logging

import pytest

from locapi.monitoring.error_log import MAX_KINDS, RECOVERY_S, REPEAT_S, ErrorLog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def errors(clock: Clock) -> ErrorLog:
    return ErrorLog(logging.getLogger("locapi.test"), "PUT /location", clock)


def test_thousand_errors_a_second_are_one_line_a_minute(
    errors: ErrorLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(122_880):
        errors.failed("away", "it is away; start it")
        clock.now += 1 / 1024
    clock.now += RECOVERY_S
    errors.succeeded()
    assert caplog.messages == [
        "PUT /location: it is away; start it",
        "PUT /location: it is away; start it (61,440 more)",
        "PUT /location: recovered after 120 s and 122,880 errors: it is away; start it",
    ]


def test_each_kind_is_logged_once(errors: ErrorLog, caplog: pytest.LogCaptureFixture) -> None:
    for kind in ("a", "b", "a", "b"):
        errors.failed(kind, f"because of {kind}")
    assert caplog.messages == ["PUT /location: because of a", "PUT /location: because of b"]


def test_error_that_comes_and_goes_is_logged_once(
    errors: ErrorLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    while clock.now < REPEAT_S - 1:
        errors.failed("a", "x")
        errors.succeeded()
        clock.now += 1
    assert caplog.messages == ["PUT /location: x"]


def test_error_after_a_recovery_is_logged_again(
    errors: ErrorLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        errors.failed("a", "x")
        clock.now += RECOVERY_S
        errors.succeeded()
        errors.succeeded()
    once = ["PUT /location: x", "PUT /location: recovered after 0 s and 1 error: x"]
    assert caplog.messages == 2 * once


def test_number_of_kinds_is_bounded(errors: ErrorLog, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(100 * MAX_KINDS):
        errors.failed(str(number), "x")
    assert len(caplog.messages) == MAX_KINDS + 1
