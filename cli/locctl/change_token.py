"""Read and keep the token by which an export continues where the last one ended."""

from pathlib import Path

import click

from locapi.exporters.changes import START, Token, parse_token
from locctl.output import replaced


def read(file: Path) -> Token:
    """Return the token in a file; if there is no such file, that of the start."""
    try:
        return parse_token(file.read_text("ascii"))
    except FileNotFoundError:
        return START
    except ValueError as error:
        raise click.ClickException(
            f"{file} does not hold a token. Name another file; or delete it, and export "
            "everything into an empty table."
        ) from error


def keep(token: Token, file: Path | None) -> None:
    """Replace a file by one that holds the token, or print it to stderr."""
    if file is None:
        click.echo(f"Next: --changed-since {token}", err=True)
    else:
        with replaced(file, binary=False) as out:
            out.write(f"{token}\n")
