"""`locctl`: the table of its commands, and what holds for all of them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click

from cli import signals
from cli.group import Group

SECTIONS = {
    "Serve": [
        ("serve", "cli.serve", "Run the API until stopped."),
        ("token", "cli.token", "Say who may send: make, list and revoke tokens."),
    ],
    "Minutes": [
        ("rollup", "cli.rollup", "Fold new fixes into minutes, once or again and again."),
        ("verify", "cli.verify", "Check that minutes are what their raw fixes prove."),
    ],
    "Data in and out": [
        ("import", "cli.importing", "Store the fixes in files as the API would."),
        ("export", "cli.export", "Write minutes, sorted by user and minute."),
        ("map", "cli.map", "Write an HTML page that shows tracks and needs no network."),
        ("dump", "cli.dump", "Write all that is stored to a file, while fixes arrive."),
        ("restore", "cli.restore", "Store what was dumped in another database."),
    ],
    "Care": [
        ("status", "cli.status", "Tell how things are, and what needs attention."),
        ("init", "cli.init", "Make the database what it should be, or compare."),
        ("prune", "cli.prune", "Delete old raw fixes that their minutes count."),
        ("erase", "cli.erase", "Remove all that was received of a user."),
    ],
    "Shell": [
        ("completion", "cli.completion", "Print what completes locctl in bash, zsh or fish."),
    ],
}
WIDTH = 100
# Where nobody minds colours, click shows them on a terminal only.
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
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors on standard error.")
@click.version_option(None, "-V", "--version", package_name="locapi")
@click.pass_context
def locctl(ctx: click.Context, quiet: bool) -> None:
    """Collect phone locations and keep exact minute averages.

    The database is the one that MONGODB_URI names; without it, a private one
    is started and shared.

    \b
    Example:
        locctl serve &
        locctl rollup
        locctl export --since 2017-01-01
    """
    from locapi import logs

    signals.unwind()
    logs.configure(quiet=quiet)
    if quiet:
        ctx.with_resource(_hushed())


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Drop what is said on standard error meanwhile; errors are told after it."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield
