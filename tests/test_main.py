"""Manners of the command line: helps, hints, colours, widths, quiet, and a quick beginning."""

import contextlib
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli import main
from cli.main import SECTIONS
from tests.conftest import LOCCTL, Locctl, Send

HEAVY = ("asyncio", "flask", "matplotlib", "numpy", "pyarrow", "timezonefinder", "uvicorn")


def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and those below it, by their words."""
    yield name, command
    if isinstance(command, click.Group):
        for below in command.list_commands(click.Context(command)):
            found = command.commands[below]
            yield from walk(f"{name} {below}", found)


COMMANDS = dict(walk("locctl", main.locctl))


def examples(command: click.Command) -> list[str]:
    """Return the lines of the block that a command's help ends with."""
    found = re.search(r"\x08\n *Examples?:\n((?: +\S.*\n?)+)", command.help or "")
    assert found, "the help has no block that begins with \\b and Example:"
    lines = re.sub(r"\\\n *", "", found[1]).splitlines()
    return [line.strip() for line in lines]


def parse(line: str) -> None:
    """Parse a line as the shell and then the real command would; fail as they would."""
    first = re.split(r" [|<>&;]", line)[0]
    program, *words = shlex.split(first)
    assert program == "locctl", line
    command: click.Command = main.locctl
    context = main.locctl.make_context("locctl", words)
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert found is not None
        context = found.make_context(name, words, parent=context)
        command = found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples_that_the_command_understands(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = examples(COMMANDS[name])
    for file in re.findall(r"[\w-]+\.[a-z.]+", " ".join(lines)):
        Path(file).touch()
    assert lines
    for line in lines:
        parse(line)
    assert any(line.startswith(name) for line in lines)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("columns", [80, 100, 200])
def test_no_help_is_wider_than_the_terminal_or_a_hundred_columns(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    settings = dict(main.locctl.context_settings)
    text = COMMANDS[name].get_help(click.Context(COMMANDS[name], info_name=name, **settings))
    assert max(map(len, text.splitlines())) <= min(columns, 100)


@pytest.mark.parametrize("row", [row for rows in SECTIONS.values() for row in rows])
def test_every_row_of_the_table_leads_to_its_command(row: tuple[str, str, str]) -> None:
    name, _, short = row
    assert main.locctl.commands[name].name == name
    assert short.endswith(".")
    assert len(short) < 80 - len("  completion  ")


def test_the_help_lists_every_command_once_under_a_section(locctl: Locctl) -> None:
    helped = locctl("-h").stdout
    for title, rows in SECTIONS.items():
        assert f"\n{title}:\n" in helped
        for name, _, short in rows:
            assert len(re.findall(rf"^  {name} +{re.escape(short)}$", helped, re.M)) == 1


def loaded(*arguments: str) -> set[str]:
    """Return the modules that are loaded at the end of a run."""
    program = (
        "import atexit, sys; from cli.entry import main\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        f"sys.argv = ['locctl', *{arguments!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["completion", "fish"]])
def test_the_group_itself_loads_no_command_and_no_driver(arguments: list[str]) -> None:
    modules = loaded(*arguments)
    assert not modules & {*HEAVY, "pymongo", "cli.rollup", "cli.serve"}


@pytest.mark.parametrize("name", [row[0] for rows in SECTIONS.values() for row in rows])
def test_no_command_loads_what_is_heavy_before_it_runs(name: str) -> None:
    modules = loaded(name, "--help")
    drivers = {"asyncio"} if "pymongo" in modules else set()  # which pymongo brings along
    assert not modules & {*HEAVY} - drivers
    assert not any(module.startswith("locapi.server") for module in modules)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rolup"], "Error: No such command 'rolup'. Did you mean 'rollup'?"),
        (["token", "ad"], "Error: No such command 'ad'. Did you mean 'add'?"),
        (["rollup", "--wach", "3"], "Error: No such option '--wach'. Did you mean '--watch'?"),
        (["--quite"], "Error: No such option '--quite'. Did you mean '--quiet'?"),
        (["rollup", "--quiet"], "Error: --quiet stands before the command, right after locctl."),
        (["export", "--format", "cvs"], "Error: Invalid value for '--format': 'cvs' is not one of"),
    ],
)
def test_what_is_mistyped_is_told_with_what_may_have_been_meant(
    locctl: Locctl,
    words: list[str],
    said: str,
) -> None:
    done = locctl(*words)
    assert (done.returncode, done.stdout) == (2, "")
    error, more = done.stderr.splitlines()
    assert error.startswith(said)
    assert re.fullmatch(r"`locctl.* --help` says more\.", more)


def at_a_terminal(*words: str, **changed: str) -> str:
    """Return what a command says on standard error where that is a terminal."""
    parent, child = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run([LOCCTL, *words], env={**kept, **changed}, stderr=child, timeout=60)
    os.close(child)
    said = b""
    with contextlib.suppress(OSError):  # it is how a terminal that was closed ends
        said = os.read(parent, 10_000)
    os.close(parent)
    return said.decode()


def test_an_error_is_coloured_on_a_terminal_only_and_not_where_colours_are_unwanted() -> None:
    assert "\x1b[31m" in at_a_terminal("nothing")
    assert "\x1b" not in at_a_terminal("nothing", NO_COLOR="1")
    assert "\x1b" not in at_a_terminal("nothing", TERM="dumb")
    off = subprocess.run([LOCCTL, "nothing"], capture_output=True, text=True)
    assert "\x1b" not in off.stderr


def test_quiet_drops_talk_and_keeps_data_and_errors(send: Send, locctl: Locctl) -> None:
    send()
    for words in (["rollup"], ["prune", "--older-than", "0s"], ["erase", "nobody"]):
        assert locctl(*words).stderr != ""
        done = locctl("--quiet", *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert locctl("-q", "export").stdout.count("\n") == 2
    away = locctl(
        "--quiet", "rollup", MONGODB_URI="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=9"
    )
    assert away.returncode == 1
    assert away.stderr.startswith("Error: the database does not answer")
    assert away.stderr.count("\n") == 1


def test_progress_is_on_standard_error_and_moves_on_a_terminal_only(
    send: Send,
    environ: dict[str, str],
) -> None:
    send()
    words = ["prune", "--older-than", "0s", "--dry-run"]
    assert "Pruning  [" in at_a_terminal(*words, **environ)
    off = subprocess.run([LOCCTL, *words], env=environ, capture_output=True, text=True)
    assert (off.stdout, off.stderr.count("\n"), "Pruning" in off.stderr) == ("", 1, False)
    assert at_a_terminal("--quiet", *words, **environ) == ""


@pytest.mark.parametrize("words", [["--help"], ["completion", "bash"], ["token", "--help"]])
def test_a_reader_that_reads_nothing_ends_it_quietly(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([LOCCTL, *words], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 0
