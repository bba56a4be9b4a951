"""The parameter types of the commands, and the options that several commands share."""

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from locapi import times

T = TypeVar("T")
Command = Callable[..., Any]


class _Parsed(click.ParamType[T]):
    """A type whose parser raises ValueError with a message that says what to write."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: Any, ctx: Any) -> T:
        """Return the parsed value, or fail with the parser's message."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _parse_user_id(text: str) -> str:
    from locapi.fixes.validation import user_id_faults  # slow to import, so not for --help

    if faults := user_id_faults(text):
        raise ValueError("; ".join(faults))
    return text


def _parse_token(text: str) -> Any:
    from locapi.exporters.changes import parse_token  # slow to import, so not for --help

    return parse_token(text)


CHANGE_TOKEN = _Parsed("token", _parse_token)  # what an export has read so far
DURATION = _Parsed("duration", times.parse_duration)  # a number and its unit, such as 7d
RESOLUTION = _Parsed("resolution", times.parse_resolution)  # a duration that divides a day
TIME = _Parsed("time", times.parse_time)  # a date, or a date and time; UTC unless it has an offset
ZONE = _Parsed("zone", times.parse_zone)  # an IANA name, UTC or an offset such as +02:00


def number(minimum: float, *, exclusive: bool = False) -> click.ParamType[float]:
    """Return the type of a finite number that is at least `minimum`, or greater if `exclusive`."""
    wanted = f"greater than {minimum:g}" if exclusive else f"{minimum:g} or more"

    def parse(text: str) -> float:
        with suppress(ValueError):
            value = float(text)
            if minimum <= value < math.inf and not (exclusive and value == minimum):
                return value
        raise ValueError(f"{text!r} is not valid. Write a number, {wanted}.")

    return _Parsed("number", parse)


def integer(minimum: int, maximum: int | None = None) -> click.ParamType[int]:
    """Return the type of an integer that is at least `minimum` and at most `maximum`."""
    wanted = f"{minimum} or more" if maximum is None else f"{minimum} to {maximum}"

    def parse(text: str) -> int:
        with suppress(ValueError):
            value = int(text)
            if minimum <= value and (maximum is None or value <= maximum):
                return value
        raise ValueError(f"{text!r} is not valid. Write an integer, {wanted}.")

    return _Parsed("integer", parse)


USER_ID = _Parsed("user", _parse_user_id)
INPUT_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
OUTPUT_FILE = click.Path(path_type=Path, dir_okay=False)


def window_options(command: Command) -> Command:
    """Add --since and --until, a half-open window in UTC."""
    since = click.option(
        "--since", type=TIME, metavar="TIME", help="Select minutes at or after this UTC time."
    )
    until = click.option(
        "--until", type=TIME, metavar="TIME", help="Select minutes before this UTC time."
    )
    return since(until(command))


def output_option(command: Command) -> Command:
    """Add -o, --output."""
    return click.option(
        "-o",
        "--output",
        type=OUTPUT_FILE,
        help="Write to this file instead of stdout. It appears only once it is complete.",
    )(command)
