"""The group of commands: imports them lazily, and turns errors into exit codes."""

import contextlib
import errno
import importlib
import os
import sys
from collections import UserDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from locapi.errors import LocapiError, Misconfigured
from locapi.text import printable
from locctl import signals

# Title → the rows under it: a command's name, its module, and its help in a line.
Sections = Mapping[str, Sequence[tuple[str, str, str]]]


class _Commands(UserDict[str, Any]):
    """The commands by name, each imported on first use from the module that `data` names."""

    def __getitem__(self, name: str) -> click.Command:
        commands = vars(importlib.import_module(f"locctl.commands.{self.data[name]}")).values()
        return next(
            each for each in commands if isinstance(each, click.Command) and each.name == name
        )


class Group(click.Group):
    """A group that loads only the command that runs, and lists commands by section."""

    def __init__(self, *, sections: Sections, **options: Any) -> None:
        rows = [row for section in sections.values() for row in section]
        modules = {name: module for name, module, _ in rows}
        super().__init__(**{**options, "commands": _Commands(modules)})
        self._sections = sections
        self._short = {name: short for name, _, short in rows}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's
        """Return the names in the order of the sections."""
        return list(self._short)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's
        """Write the sections of the help."""
        width = max(map(len, self._short))
        for title, rows in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), short) for name, _, short in rows])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the completions of a command's name or an option."""
        return [
            *(
                CompletionItem(name, help=short)
                for name, short in self._short.items()
                if name.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Translate errors of parsing too, as of a --help into a closed pipe."""
        with _translate_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and translate its errors."""
        try:
            with _translate_errors():
                return super().invoke(ctx)
        except click.NoSuchOption as error:
            if any(error.option_name in option.opts for option in self.params):
                hint = f"put {error.option_name} before the command, right after locctl."
                raise click.UsageError(hint, error.ctx) from error
            raise

    def main(self, *args: Any, **options: Any) -> Any:
        """Run and exit; an error is one sentence, and misuse refers to the help."""
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
                click.echo(f"See `{error.ctx.command_path} --help`.", err=True)
        sys.exit(code)

    def _show(self, message: str, code: int) -> int:
        label = click.style("Error:", fg="red", bold=True)
        click.echo(f"{label} {message}", err=True, color=self.context_settings.get("color"))
        return code


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except Misconfigured as error:
        raise click.UsageError(printable(str(error))) from error
    except LocapiError as error:
        raise click.ClickException(printable(str(error))) from error
    except BrokenPipeError:
        _discard_output()
        raise click.exceptions.Exit(0) from None
    except OSError as error:
        _discard_output()
        if error.errno == errno.EBADF:
            raise click.ClickException(
                "stdout is closed. Redirect it to a file, a pipe or /dev/null."
            ) from error
        what = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(printable(f"{what}{error.strerror or error}")) from error
    except KeyboardInterrupt:
        signals.say_interrupted()
        raise click.exceptions.Exit(signals.INTERRUPTED) from None


def _discard_output() -> None:
    """Discard what stdout's buffer still holds: its pipe or file takes no more."""
    with Path(os.devnull).open("w") as null:
        os.dup2(null.fileno(), 1)
