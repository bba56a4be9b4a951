"""`locctl`: its commands, and the options that all of them have."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click

from locctl.group import Group

SECTIONS = {
    "Serve": [
        ("serve", "serve", "Run the API until stopped."),
        ("token", "token", "Manage API tokens."),
    ],
    "Minutes": [
        ("rollup", "rollup", "Fold new fixes into minutes, once or repeatedly."),
        ("verify", "verify", "Compare minutes with their raw fixes."),
    ],
    "Data in and out": [
        ("import", "import_", "Store the fixes in files, as the API would."),
        ("export", "export", "Write minutes, sorted by user and time."),
        ("map", "map", "Draw tracks on a map, in an HTML file that works offline."),
        ("dump", "dump", "Back up everything that is stored to a file."),
        ("restore", "restore", "Store dumps in a database."),
    ],
    "Maintenance": [
        ("status", "status", "Show what is stored and what needs attention."),
        ("init", "init", "Create or check collections, indexes and validators."),
        ("prune", "prune", "Delete old raw fixes; minutes stay exact."),
        ("rejects", "rejects", "List invalid fixes that were kept, and why."),
        ("erase", "erase", "Delete everything that is stored about a user."),
    ],
    "Shell": [
        ("completion", "completion", "Print the completion script for bash, zsh or fish."),
    ],
}
WIDTH = 100
_NEVER_WAIT = ("completion", "status")  # for the database; status reports that it is away
# None lets click show colours on terminals only.
COLOR = False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


@click.group(
    cls=Group,
    sections=SECTIONS,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": WIDTH,
        "color": COLOR,
    },
)
@click.option("-q", "--quiet", is_flag=True, help="Print only errors to stderr.")
@click.version_option(None, "-V", "--version", package_name="locapi")
@click.pass_context
def locctl(ctx: click.Context, quiet: bool) -> None:
    """Collect phone locations and keep exact minute averages.

    MONGODB_URI names the database. Without it, commands start and share an embedded one.

    \b
    Example:
        locctl serve &
        locctl rollup
        locctl export --since 2017-01-01
    """
    from locapi import logs

    logs.configure(quiet=quiet)
    if ctx.invoked_subcommand not in _NEVER_WAIT:
        from locctl import waiting

        waiting.log_waiting()
    if quiet:
        ctx.with_resource(_silence_stderr())


@contextlib.contextmanager
def _silence_stderr() -> Iterator[None]:
    """Discard what the command writes to stderr; its error is printed after the block."""
    with Path(os.devnull).open("w") as devnull, contextlib.redirect_stderr(devnull):
        yield
