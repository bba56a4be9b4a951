"""The group of commands: each is loaded when it runs, and errors become exit codes."""

import contextlib
import importlib
import signal
import sys
from collections import UserDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from cli import signals
from locapi.errors import LocapiError, Misconfigured

# Title → the rows under it: a command's name, its module, and its help in a line.
Sections = Mapping[str, Sequence[tuple[str, str, str]]]


class _Commands(UserDict[str, Any]):
    """The commands by their names; in `data` stand their modules, loaded once one is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        commands = vars(importlib.import_module(self.data[name])).values()
        return next(
            each for each in commands if isinstance(each, click.Command) and each.name == name
        )


class Group(click.Group):
    """What click's does, by sections, without loading what is not run."""

    def __init__(self, *, sections: Sections, **options: Any) -> None:
        rows = [row for section in sections.values() for row in section]
        modules = {name: module for name, module, _ in rows}
        super().__init__(**{**options, "commands": _Commands(modules)})
        self._sections = sections
        self._short = {name: short for name, _, short in rows}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's
        """Return the names in the order of the table."""
        return list(self._short)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's
        """Write the help's sections."""
        width = max(map(len, self._short))
        for title, rows in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), short) for name, _, short in rows])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the first word."""
        return [
            *(
                CompletionItem(name, help=short)
                for name, short in self._short.items()
                if name.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Do what click does, with errors told, as of a --help that nobody reads to its end."""
        with _errors_told():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, with errors told."""
        try:
            with _errors_told():
                try:
                    return super().invoke(ctx)
                finally:
                    signals.ignore()
        except click.NoSuchOption as error:
            if any(error.option_name in option.opts for option in self.params):
                hint = f"{error.option_name} stands before the command, right after locctl."
                raise click.UsageError(hint, error.ctx) from error
            raise

    def main(self, *args: Any, **options: Any) -> Any:
        """Run and exit; what is wrong is one sentence, and misuse is told where to read on."""
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except click.Abort:
            code = self._show("aborted", 1)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.ClickException as error:
            code = self._show(error.format_message(), error.exit_code)
            if isinstance(error, click.UsageError) and error.ctx is not None:
                click.echo(f"`{error.ctx.command_path} --help` says more.", err=True)
        sys.exit(code)

    def _show(self, message: str, code: int) -> int:
        label = click.style("Error:", fg="red", bold=True)
        click.echo(f"{label} {message}", err=True, color=self.context_settings.get("color"))
        return code


@contextlib.contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except Misconfigured as error:
        raise click.UsageError(str(error)) from error
    except LocapiError as error:
        raise click.ClickException(str(error)) from error
    except BrokenPipeError:
        # The reader has all it wanted. Nothing more may be flushed into the pipe.
        sys.stdout = None
        raise click.exceptions.Exit(0) from None
    except OSError as error:
        # As of a standard output on a full disk: what is left in it cannot be written.
        sys.stdout = None
        what = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{what}{error.strerror or error}") from error
    except KeyboardInterrupt:
        signals.tell_interrupted()
        raise click.exceptions.Exit(128 + signal.SIGINT) from None
