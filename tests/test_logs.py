"""How the program speaks."""

import io
import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from locapi import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield
    root.handlers[:] = before
    root.setLevel(level)


def fail(secret: str) -> None:
    raise ValueError(secret)


def test_off_a_terminal_each_line_is_an_object() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    token = logs.request_id.set("r-1")
    logging.getLogger("locapi.x").info("a %s\nb", "line")
    logs.request_id.reset(token)
    logging.getLogger("cli.x").warning("outside")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert abs(datetime.fromisoformat(first.pop("time")) - datetime.now(UTC)).seconds < 60
    assert first == {
        "level": "INFO",
        "logger": "locapi.x",
        "message": "a line\nb",
        "pid": os.getpid(),
        "request_id": "r-1",
    }
    assert len(second.pop("time")) == len("2017-01-01T18:05:12.345Z")
    assert "request_id" not in second


def test_on_a_terminal_it_is_plain() -> None:
    stream = Terminal()
    logs.configure(stream)
    logging.getLogger("locapi.x").info("done")
    assert stream.getvalue() == "INFO done\n"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
@pytest.mark.parametrize("name", ["locapi.x", "uvicorn.error"])
def test_an_exception_shows_where_it_came_from_and_not_what_it_says(
    stream: io.StringIO, name: str
) -> None:
    logs.configure(stream)
    try:
        fail("secret")
    except ValueError:
        logging.getLogger(name).exception("failed")
    assert "ValueError at tests/test_logs.py:" in stream.getvalue()
    assert " fail < " in stream.getvalue()
    assert "secret" not in stream.getvalue()


def test_libraries_repeat_themselves_once_a_minute_and_say_no_more_than_a_line() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    for _ in range(1000):
        logging.getLogger("a.library").warning("Invalid HTTP request received.")
        logging.getLogger("asyncio").error("never retrieved\nfuture: ValueError('secret')")
    said = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert said == ["Invalid HTTP request received.", "never retrieved"]
