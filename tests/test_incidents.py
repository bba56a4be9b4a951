"""A failure is told once, then counted, then over."""

import logging

import pytest

from locapi.incidents import EVERY_S, QUIET_S, Incidents


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def incidents(clock: Clock) -> Incidents:
    return Incidents(logging.getLogger("locapi.test"), "PUT /location", clock)


def test_three_thousand_failures_a_second_make_one_line_a_minute(
    incidents: Incidents, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(122_880):
        incidents.failed("away", "it is away; start it")
        clock.now += 1 / 1024
    assert caplog.messages == [
        "PUT /location: it is away; start it",
        "PUT /location: it is away; start it (61,440 more)",
    ]
    clock.now += QUIET_S
    incidents.succeeded()
    assert caplog.messages[2:] == [
        "PUT /location: over after 120 s; it failed 122,880 times by: it is away; start it"
    ]


def test_each_kind_is_told(
    incidents: Incidents, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in ("a", "b", "a", "b"):
        incidents.failed(kind, f"because of {kind}")
    assert caplog.messages == ["PUT /location: because of a", "PUT /location: because of b"]


def test_what_comes_and_goes_is_one_incident(
    incidents: Incidents, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    while clock.now < EVERY_S - 1:
        incidents.failed("a", "x")
        incidents.succeeded()
        clock.now += 1
    assert caplog.messages == ["PUT /location: x"]


def test_after_it_was_over_it_is_told_again(
    incidents: Incidents, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        incidents.failed("a", "x")
        clock.now += QUIET_S
        incidents.succeeded()
        incidents.succeeded()
    assert (
        caplog.messages
        == [
            "PUT /location: x",
            "PUT /location: over after 0 s; it failed 1 times by: x",
        ]
        * 2
    )


def test_kinds_without_end_are_bounded(
    incidents: Incidents, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10_000):
        incidents.failed(str(number), "x")
    assert len(caplog.messages) == 101
