"""Every command that the pages show runs as it stands and prints what is shown below it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conftest import ROOT, new_database_name
from tests.support.pages import PAGES, Command, between, commands
from tests.support.serving import serve

# What this test cannot run: a pattern of the line or of `PAGE: line`, and where it is tested.
ELSEWHERE = {
    r"make (run|help)": "the test of `make run` below compares its output",
    r"make install": ".ci/run begins with it",
    r"make bench.*|.*-m benchmarks .*": "measures for minutes; tests/benchmarks",
    r"(\.venv/bin/)?locctl serve( &)?": "the server of this test stands in for it",
    r"docker stats .*": "needs containers; the other commands beside it run",
    r"kubectl .*": "not tried anywhere: there was no cluster",
    r"docker/secrets\.sh|docker compose .*|echo LOCAPI_AUTH=token >> \.env": "make docker-test",
    r"mkdir .* docker/secrets|tar -C docker/secrets .*": "tests/docker/test_backup.py",
    r"API_HOST=\S+ \.venv/bin/python simulation/simulate\.py": "docs/TUTORIAL.md runs it",
    r'tar .* "\$LOCAPI_DATA_DIR".*|mkdir .* "\$LOCAPI_DATA_DIR"': "tests/docs/test_backup.py",
    r"MONGODB_URI=\$(OLD|NEW) locctl .*": "tests/backup/test_migration.py",
    r'MONGODB_URI="\$MONGODB_URI&readPreference=secondary" .*': "tests/storage/test_read_points.py",
    r"docs/IMPORT.md: .*": "tests/locctl/test_import_command.py",
    r"locctl rollup --watch (5 &|60)": "tests/locctl/test_watching.py",
    r"python simulation/phone\.py": "tests/browser/test_served_map.py",
    r"docs/NOTEBOOK.md: .*": "tests/docs/test_reference.py runs docs/tracks.py",
    r"python3 -m http\.server .*": "serves until it is stopped",
    r"mongodump .*|mongorestore .*": "not tried anywhere: the tools are in no package here",
}
EXITS = {"locctl init --check": 1}  # what is meant to end otherwise than with 0
MARK = "--- of the test:"
DEADLINE_S = 150


def is_elsewhere(page: str, line: str, patterns: Iterable[str] = ELSEWHERE) -> bool:
    return any(
        re.fullmatch(pattern, text, re.DOTALL)
        for pattern in patterns
        for text in (line, f"{page}: {line}")
    )


RUNNING = {
    page: here
    for page, text in PAGES.items()
    if (here := [each for each in commands(text) if not is_elsewhere(page, each.line)])
}


def as_pattern(shown: str) -> str:
    """Return what output must match: … stands for anything, a line of it for any lines."""
    pattern = ""
    for line in re.sub(r"\d[\d.,]* (m?s)\b", r"… \1", shown.strip()).splitlines():
        exact = re.sub(r"(\\ )*…(\\ )*", ".*", re.escape(line))
        pattern += r"(.*\n)*" if line == "…" else exact + r"\n"
    return pattern


def test_every_exception_matches_a_command_on_a_page() -> None:
    shown = [(page, each.line) for page, text in PAGES.items() for each in commands(text)]
    unused = [p for p in ELSEWHERE if not any(is_elsewhere(*each, [p]) for each in shown)]
    assert unused == []
    for path in re.findall(r"tests/[\w/]+\.py", " ".join(ELSEWHERE.values())):
        assert (ROOT / path).exists()


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
        "LOCAPI_DATABASE": new_database_name(),
    }
    lines = [command.line for command in RUNNING[page]]
    if any("localhost:5000" in line for line in lines):
        with serve(mongodb_uri, tmp_path, workers=1, environ=environ) as serving:
            there = f"localhost:{serving.port}"
            lines = [line.replace("localhost:5000", there) for line in lines]
            check(RUNNING[page], run(lines, checkout, environ))
    else:
        check(RUNNING[page], run(lines, checkout, environ))


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


def comparable(output: str) -> list[str]:
    """Return the lines of `make run` without what differs from run to run."""
    output = re.sub(r"/\S*/locapi-\w+/", "SCRATCH/", output)
    output = re.sub(r"http://127\.0\.0\.1:\d+", "URL", output)
    measured = r"^(seconds|fixes per second|retries|latency .*?) {2,}.*"
    output = re.sub(measured, r"\1", output, flags=re.MULTILINE)
    # The widest number, by which columns are laid out, may be a latency.
    return re.sub(" {2,}", "  ", output).splitlines()


def test_make_run_prints_what_the_readme_shows() -> None:
    command = [sys.executable, str(ROOT / "simulation" / "demo.py")]
    demo = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert demo.returncode == 0, demo.stderr
    shown = between(PAGES["README.md"], "output of make run")
    shown = shown.removeprefix("```text\n").removesuffix("```\n")
    assert comparable(shown) == comparable(demo.stdout)
