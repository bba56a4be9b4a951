"""How far a command has come: on standard error, where that is a terminal."""

import sys
from contextlib import AbstractContextManager
from typing import Any

import click


def bar(label: str, length: int) -> AbstractContextManager[Any]:
    """Return a bar, which is moved on by its `update`; elsewhere nothing is shown."""
    hidden = not sys.stderr.isatty()
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden)
