"""What all commands have in common: help, hints, colours, --quiet, and a fast start."""

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
from locctl import main
from locctl.main import SECTIONS

from tests.conftest import Locctl, Send
from tests.support.processes import LOCCTL

HEAVY = {"asyncio", "flask", "granian", "matplotlib", "numpy", "pyarrow", "timezonefinder"}
ROWS = [row for rows in SECTIONS.values() for row in rows]


def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and those below it, by their words."""
    yield name, command
    if isinstance(command, click.Group):
        for below in command.list_commands(click.Context(command)):
            yield from walk(f"{name} {below}", command.commands[below])


COMMANDS = dict(walk("locctl", main.locctl))


def examples(command: click.Command) -> list[str]:
    """Return the lines of the block that a command's help ends with."""
    found = re.search(r"\x08\n *Examples?:\n((?: +\S.*\n?)+)", command.help or "")
    assert found, "the help has no block that begins with \\b and Example:"
    return [line.strip() for line in re.sub(r"\\\n *", "", found[1]).splitlines()]


def parse(line: str) -> None:
    """Parse a line as the shell and the command do; raise click's errors."""
    program, *words = shlex.split(re.split(r" [|<>&;]", line)[0])
    assert program == "locctl", line
    command: click.Command = main.locctl
    while isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    command.make_context(line, words)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_that_the_command_accepts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = examples(COMMANDS[name])
    for file in re.findall(r"[\w-]+\.[a-z.]+", " ".join(lines)):
        Path(file).touch()
    for line in lines:
        parse(line)
    assert any(line.startswith(name) for line in lines)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("columns", [80, 100, 200])
def test_help_is_no_wider_than_the_terminal_or_a_hundred_columns(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    settings = dict(main.locctl.context_settings)
    text = COMMANDS[name].get_help(click.Context(COMMANDS[name], info_name=name, **settings))
    assert max(map(len, text.splitlines())) <= min(columns, 100)


def test_help_lists_every_command_once_in_its_section(locctl: Locctl) -> None:
    helped = locctl("-h").stdout
    for title, rows in SECTIONS.items():
        assert f"\n{title}:\n" in helped
        for name, _, short in rows:
            assert len(re.findall(rf"^  {name} +{re.escape(short)}$", helped, re.M)) == 1
            assert main.locctl.commands[name].name == name
            assert short.endswith(".")


def loaded(*arguments: str) -> set[str]:
    """Return the modules that are loaded at the end of a run."""
    program = (
        "import atexit, sys; from locctl.entry import main\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        f"sys.argv = ['locctl', *{arguments!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["completion", "fish"]])
def test_group_loads_no_other_command_and_no_driver(arguments: list[str]) -> None:
    modules = loaded(*arguments)
    assert not modules & {*HEAVY, "pymongo", "locctl.commands.rollup", "locctl.commands.serve"}


@pytest.mark.parametrize("name", [name for name, _, _ in ROWS])
def test_command_loads_nothing_large_before_it_runs(name: str) -> None:
    modules = loaded(name, "--help")
    by_driver = {"asyncio"} if "pymongo" in modules else set()
    assert not modules & HEAVY - by_driver
    assert "locapi.api.bridge" not in modules


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rolup"], "Error: No such command 'rolup'. Did you mean 'rollup'?"),
        (["token", "ad"], "Error: No such command 'ad'. Did you mean 'add'?"),
        (["rollup", "--wach", "3"], "Error: No such option '--wach'. Did you mean '--watch'?"),
        (["--quite"], "Error: No such option '--quite'. Did you mean '--quiet'?"),
        (["rollup", "--quiet"], "Error: put --quiet before the command, right after locctl."),
        (["export", "--format", "cvs"], "Error: Invalid value for '--format': 'cvs' is not one of"),
    ],
)
def test_mistyped_word_is_answered_with_a_suggestion(
    locctl: Locctl, words: list[str], message: str
) -> None:
    done = locctl(*words)
    assert (done.returncode, done.stdout) == (2, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith(message)
    assert re.fullmatch(r"See `locctl.* --help`\.", hint)


def at_a_terminal(*words: str, **changed: str) -> str:
    """Return what a command writes to stderr if that is a terminal."""
    parent, child = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run([LOCCTL, *words], env={**kept, **changed}, stderr=child, timeout=60)
    os.close(child)
    written = b""
    with contextlib.suppress(OSError):  # this is how a closed terminal ends
        written = os.read(parent, 10_000)
    os.close(parent)
    return written.decode()


def test_error_is_coloured_only_on_terminals_that_allow_it(locctl: Locctl) -> None:
    assert "\x1b[31m" in at_a_terminal("nothing")
    assert "\x1b" not in at_a_terminal("nothing", NO_COLOR="1")
    assert "\x1b" not in at_a_terminal("nothing", TERM="dumb")
    assert "\x1b" not in locctl("nothing").stderr


def test_quiet_keeps_only_data_and_errors(send: Send, locctl: Locctl) -> None:
    send()
    for words in (["rollup"], ["prune", "--older-than", "0s"], ["erase", "b"]):
        send(user_id="b")
        assert locctl(*words).stderr != ""
        send(user_id="b")
        done = locctl("--quiet", *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert locctl("-q", "export").stdout.count("\n") == 2
    away = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=9"
    failed = locctl("--quiet", "rollup", MONGODB_URI=away)
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: the database does not answer")
    assert failed.stderr.count("\n") == 1


def test_progress_is_shown_on_terminals_only(
    send: Send, locctl: Locctl, environ: dict[str, str]
) -> None:
    send()
    words = ["prune", "--older-than", "0s", "--dry-run"]
    assert "Pruning  [" in at_a_terminal(*words, **environ)
    assert at_a_terminal("--quiet", *words, **environ) == ""
    assert "Pruning" not in locctl(*words).stderr


@pytest.mark.parametrize("words", [["--help"], ["completion", "bash"], ["token", "--help"]])
def test_closed_pipe_ends_the_command_quietly(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([LOCCTL, *words], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


CLOSED = "Error: stdout is closed. Redirect it to a file, a pipe or /dev/null."


@pytest.mark.parametrize(
    "words",
    [
        "--version",
        "--help",
        "completion bash",
        "export",
        "export --format parquet",
        "map",
        "status",
        "status --json",
        "status --watch 1",
        "token list",
        "token add --read-all",
    ],
)
def test_closed_stdout_is_one_line_of_error(words: str, environ: dict[str, str]) -> None:
    done = subprocess.run(
        f"{LOCCTL} {words} >&-", shell=True, env=environ, stderr=subprocess.PIPE, text=True
    )
    assert (done.returncode, done.stderr) == (1, f"{CLOSED}\n")


@pytest.mark.parametrize("words", ["rollup", "prune --older-than 1d --dry-run", "erase a1"])
def test_command_without_data_runs_although_all_streams_are_closed(
    words: str, environ: dict[str, str], send: Send
) -> None:
    send()
    done = subprocess.run(f"{LOCCTL} {words} <&- >&- 2>&-", shell=True, env=environ)
    assert done.returncode == 0
