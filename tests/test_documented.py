"""Every command that the pages show is run as it stands, and prints what is shown below it."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from cli.main import locctl
from tests.conftest import ROOT
from tests.serving import serve

PAGES = {
    page.stem: page.read_text()
    for page in [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
}
# What cannot be run here: a pattern of the line or of `PAGE: line`, and where it is tested.
ELSEWHERE = {
    r"make run": "tests/test_docs.py compares its output",
    r"make install": ".ci/run begins with it",
    r"make bench.*|.*-m benchmarks .*": "measures for minutes; tests/test_numbers.py",
    r"(\.venv/bin/)?locctl serve( &)?": "the server of these tests stands in for it",
    r"docker/secrets\.sh|docker compose .*|echo LOCAPI_AUTH=token >> \.env": "make docker-test",
    r"API_HOST=\S+ \.venv/bin/python simulation/simulate\.py": "docs/TUTORIAL.md runs it",
    r'tar .* "\$LOCAPI_DATA_DIR".*|mkdir .* "\$LOCAPI_DATA_DIR"': "tests/test_operations.py",
    r"MONGODB_URI=\$(OLD|NEW) locctl .*": "tests/test_migration.py",
    r"IMPORT: .*": "tests/test_import_command.py",
    r"NOTEBOOK: .*": "tests/test_docs.py runs docs/tracks.py",
    r"python3 -m http\.server .*": "serves until it is stopped",
    r"mongodump .*|mongorestore .*": "not tried anywhere: the tools were not at hand",
}
EXITS = {"locctl init --check": 1}  # what is meant to end otherwise than with 0
MARK = "--- of the test:"
DEADLINE_S = 600


class Command(NamedTuple):
    """What is typed, and what the page shows of its output."""

    line: str
    shown: str


def commands(text: str) -> Iterator[Command]:
    """Yield the commands of a page; one goes on while a quote is open or a line ends in \\."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            end = 1
            while end < len(lines) and is_open("\n".join(lines[:end])):
                end += 1
            yield Command("\n".join(lines[:end]), "\n".join(lines[end:]))


def is_open(line: str) -> bool:
    try:
        shlex.split(line)
    except ValueError:
        return True
    return False


def is_elsewhere(page: str, line: str, patterns: Iterable[str] = ELSEWHERE) -> bool:
    named = f"{page}: {line}"
    return any(re.fullmatch(rf"(\w+: )?({each})|{each}", named, re.DOTALL) for each in patterns)


RUNNING = {
    name: here
    for name, text in PAGES.items()
    if (here := [c for c in commands(text) if not is_elsewhere(name, c.line)])
}


def as_pattern(shown: str) -> str:
    """Return what output must match: … stands for anything, a line of it for any lines."""
    pattern = ""
    for line in re.sub(r"\d[\d.,]* (m?s)\b", r"… \1", shown.strip()).splitlines():
        exact = re.sub(r"(\\ )*…(\\ )*", ".*", re.escape(line))
        pattern += r"(.*\n)*" if line == "…" else exact + r"\n"
    return pattern


def test_nothing_is_elsewhere_that_no_page_shows() -> None:
    shown = [(name, each.line) for name, text in PAGES.items() for each in commands(text)]
    unused = [p for p in ELSEWHERE if not any(is_elsewhere(*each, [p]) for each in shown)]
    assert unused == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory like a fresh checkout, in which commands may leave their files."""
    here = tmp_path / "locapi"
    here.mkdir()
    for path in ROOT.iterdir():
        if path.name not in {".git", ".cache", ".venv", "build", ".env"}:
            (here / path.name).symlink_to(path)
    (here / ".venv").symlink_to(sys.prefix)
    return here


def run(lines: list[str], directory: Path, environ: dict[str, str]) -> list[tuple[str, int]]:
    """Run lines in one shell; return the output and the exit code of each."""
    script = "".join(f"{line}\necho '{MARK}' $?\n" for line in lines)
    (directory / "script").write_text(script)
    done = subprocess.run(
        ["bash", "script"], cwd=directory, env=environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    found = re.findall(rf"(.*?){MARK} (\d+)\n", done.stdout, re.DOTALL)
    assert len(found) == len(lines), done.stdout
    return [(output, int(code)) for output, code in found]


@pytest.mark.parametrize("page", RUNNING)
def test_the_commands_of_a_page_do_what_it_says(
    page: str, mongodb_uri: str, checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "LANG": "C.UTF-8",
        "MONGODB_URI": mongodb_uri,
        "LOCAPI_DATABASE": f"page_{page}",
    }
    here = RUNNING[page]
    if not any("localhost:5000" in command.line for command in here):
        check(here, run([command.line for command in here], checkout, environ))
        return
    with serve(mongodb_uri, tmp_path, workers=1, environ=environ) as serving:
        port = str(serving.port)
        lines = [command.line.replace("localhost:5000", f"localhost:{port}") for command in here]
        check(here, run(lines, checkout, environ))


def check(wanted: list[Command], done: list[tuple[str, int]]) -> None:
    for command, (output, code) in zip(wanted, done, strict=True):
        assert code == EXITS.get(command.line, 0), (
            f"`{command.line}` exits {code}: {output}; if it cannot be run here, "
            "put it into ELSEWHERE with where it is tested"
        )
        if command.shown.strip():
            assert re.fullmatch(as_pattern(command.shown), output.strip() + "\n"), (
                f"`{command.line}` prints:\n{output}\nand not:\n{command.shown}"
            )


def leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands that are no groups, by their words."""
    if isinstance(command, click.Group):
        for word in command.commands:
            yield from leaves(f"{name} {word}", command.commands[word])
    else:
        yield name, command


@pytest.mark.parametrize("name", [name for name, _ in leaves("locctl", locctl)])
def test_every_command_and_each_of_its_options_is_in_the_pages(name: str) -> None:
    text = "\n".join(PAGES.values())
    command = dict(leaves("locctl", locctl))[name]
    assert f"`{name}" in text
    for option in command.params:
        if isinstance(option, click.Option):
            assert max(option.opts, key=len) in text


def test_the_options_of_locctl_itself_are_in_the_readme() -> None:
    for option in locctl.params:
        assert any(name in PAGES["README"] for name in option.opts)
