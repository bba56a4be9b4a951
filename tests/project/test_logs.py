"""Logs: JSON for machines, plain text for terminals, no values of exceptions."""

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


def test_off_a_terminal_each_line_is_a_json_object() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    token = logs.request_id.set("r-1")
    logging.getLogger("locapi.x").info("a %s\nb", "line")
    logs.request_id.reset(token)
    logging.getLogger("locctl.x").warning("outside")
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


def test_on_a_terminal_lines_are_plain_text() -> None:
    stream = Terminal()
    logs.configure(stream)
    logging.getLogger("locapi.x").info("done")
    assert stream.getvalue() == "INFO done\n"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
@pytest.mark.parametrize("name", ["locapi.x", "uvicorn.error"])
def test_an_exception_is_logged_with_its_place_and_without_its_message(
    stream: io.StringIO, name: str
) -> None:
    logs.configure(stream)
    try:
        fail("secret")
    except ValueError:
        logging.getLogger(name).exception("failed")
    assert "ValueError at project/test_logs.py:" in stream.getvalue()
    assert " fail < " in stream.getvalue()
    assert "secret" not in stream.getvalue()


def test_a_librarys_repeats_are_known_by_their_template_and_bounded() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    library = logging.getLogger("a.library")
    for number in range(1000):
        library.warning("connection %s lost: %s", number, "x" * number)
        library.warning(f"connection ('127.0.0.1', {number}) lost after {number}.5 s")
    assert len(stream.getvalue().splitlines()) == 2
    for number in range(1000):
        library.warning("abcdefghij" + chr(number + 0x4E00))
    assert len(stream.getvalue().splitlines()) == logs.MAX_KINDS


def test_a_terminal_gets_no_control_characters() -> None:
    stream = Terminal()
    logs.configure(stream)
    logging.getLogger("locapi.x").warning("a \x1b]0;\x07 \u202e\u200b")
    assert stream.getvalue() == "WARNING a \\x1b]0;\\x07 \\u202e\\u200b\n"


def test_a_librarys_message_is_logged_once_a_minute_and_its_first_line_only() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    for _ in range(1000):
        logging.getLogger("a.library").warning("Invalid HTTP request received.")
        logging.getLogger("asyncio").error("never retrieved\nfuture: ValueError('secret')")
    said = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert said == ["Invalid HTTP request received.", "never retrieved"]
