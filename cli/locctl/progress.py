"""Show a command's progress on stderr if that is a terminal."""

import sys
from contextlib import AbstractContextManager
from typing import Any

import click


def bar(label: str, length: int) -> AbstractContextManager[Any]:
    """Return a progress bar; move it with `update`. It is hidden off a terminal."""
    hidden = not sys.stderr.isatty()
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden)
