"""A command that waits for the database says so."""

from types import SimpleNamespace
from typing import Any

import pytest
from locctl.waiting import PATIENCE_S, Waiting

from tests.conftest import Locctl

EVENT: Any = SimpleNamespace(connection_id=("db.example", 27017))
WARNING = "waiting for the database: db.example:27017 does not answer"


class Client:
    """A client that is watched, and a clock that moves only while it waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting = Waiting(lambda: self.now)

    def get_no_answer(self, seconds: float) -> None:
        self.waiting.started(EVENT)
        self.now += seconds
        self.waiting.failed(EVENT)

    def get_answer(self) -> None:
        self.waiting.succeeded(EVENT)


def test_long_silence_is_logged_once_until_the_next_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client()
    for _ in range(2):
        client.get_no_answer(PATIENCE_S / 2)
        assert caplog.messages == []
        client.now += PATIENCE_S
        for _ in range(3):
            client.get_no_answer(0)
        assert caplog.messages == [WARNING]
        caplog.clear()
        client.get_answer()


def test_a_member_that_is_away_is_not_logged_while_another_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client()
    for _ in range(20):
        client.get_no_answer(1)
        client.get_answer()
    assert caplog.messages == []


def test_command_logs_that_it_waits(locctl: Locctl) -> None:
    away = f"mongodb://127.0.0.1:1/?serverSelectionTimeoutMS={1000 * PATIENCE_S + 2500:.0f}"
    done = locctl("rollup", MONGODB_URI=away)
    assert done.returncode == 1
    assert "waiting for the database: 127.0.0.1:1 does not answer" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: the database does not answer")
