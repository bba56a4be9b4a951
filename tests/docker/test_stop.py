"""`docker stop` under load loses no fix that was answered."""

import time

import pytest

from tests.faults.load import BROKEN, Load
from tests.support.compose import Stack, sent


def test_stop_under_load_ends_in_time_and_loses_no_answered_fix(stack: Stack) -> None:
    with Load(stack.port, seed=1, users=16, every_s=0.0) as load:
        stack.until(lambda: sum(1 for _ in load.attempts()) > 500, "500 answers")
        start = time.monotonic()
        stack.run("docker", "stop", stack.container("api"))
        assert time.monotonic() - start < 12
        code = stack.inspect("api", ".State.ExitCode")
        stack.up()
        started = time.monotonic()
        stack.until(lambda: load.all_served_since(started), "all clients are served again")

    assert code == 0
    assert {attempt.code for attempt in load.attempts()} == {200, BROKEN}
    stack.locctl("rollup")
    expected, exported = sent(load), stack.minutes()
    assert expected == {minute: pytest.approx(exported.get(minute)) for minute in expected}
