"""The group of commands, and the one place where errors become exit codes."""

import signal
import sys
from typing import Any

import click

from cli.erase import erase
from cli.export import export
from cli.map import draw_map
from cli.prune import prune
from cli.rollup import rollup
from cli.serve import serve
from cli.token import token
from cli.verify import verify
from locapi import logs
from locapi.errors import LocapiError, Misconfigured


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Misconfigured as error:
            raise click.UsageError(str(error)) from error
        except LocapiError as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:
            # The reader has all it wanted. Nothing more may be flushed into the pipe.
            sys.stdout = None
            ctx.exit(0)
        except OSError as error:
            # As of a standard output on a full disk: what is left in it cannot be written.
            sys.stdout = None
            what = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{what}{error.strerror or error}") from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(128 + signal.SIGINT)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="locapi")
def locctl() -> None:
    """Collect phone locations and keep exact minute averages.

    The database is the one that MONGODB_URI names; without it, a private one
    is started and shared.

    \b
    Example:
        locctl serve &
        locctl rollup
        locctl export --since 2017-01-01
    """
    logs.configure()
    # `kill` ends a command the way it ends by itself: what was opened is closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


for command in (serve, rollup, export, draw_map, prune, verify, erase, token):
    locctl.add_command(command)
