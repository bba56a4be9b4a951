"""Commands and tables in the pages of the documentation."""

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
}


class Command(NamedTuple):
    """What a user types, and what the page shows of the output."""

    line: str
    shown: str


def commands(text: str) -> Iterator[Command]:
    """Yield the commands of a page; one goes on while a quote is open or a line ends in \\."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            end = 1
            while end < len(lines) and _is_open("\n".join(lines[:end])):
                end += 1
            yield Command("\n".join(lines[:end]), "\n".join(lines[end:]))


def _is_open(line: str) -> bool:
    try:
        shlex.split(line)
    except ValueError:
        return True
    return False


def table(text: str, first_header: str) -> list[list[str]]:
    """Return the rows of the table whose first column has that header."""
    found = re.search(rf"^\| {first_header} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, first_header
    return [re.split(r" (?<!\\)\| ", line[2:-2]) for line in found[1].splitlines()]


def between(text: str, mark: str) -> str:
    """Return what stands between `<!-- mark -->` and the next `<!-- end -->`."""
    found = re.search(rf"<!-- {mark} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found, mark
    return found[1]


def run_marked(page: str, mark: str, directory: Path, environ: Mapping[str, str]) -> None:
    """Run the commands between `<!-- mark -->` and `<!-- end -->`, one after the other."""
    marked = [*commands(between(PAGES[f"docs/{page}"], mark))]
    assert marked
    for command in marked:
        done = subprocess.run(
            command.line,
            shell=True,
            cwd=directory,
            env=environ,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, (command.line, done.stdout, done.stderr)
