"""What the README says is true."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from flask.testing import FlaskClient
from pymongo.database import Database

from cli.main import locctl
from locapi import schema, settings
from locapi.mongo import Document
from locapi.rollup import roll_up
from locapi.writers import FORMATS
from tests.conftest import ROOT, Send

README = (ROOT / "README.md").read_text()


def between(start: str) -> str:
    """Return what stands between a mark and the next `<!-- end -->`."""
    found = re.search(rf"<!-- {start} -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert found, start
    return found[1]


def table(first_header: str) -> list[list[str]]:
    """Return the rows of the table whose first column has that header."""
    found = re.search(rf"^\| {first_header} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert found, first_header
    return [re.split(r" (?<!\\)\| ", line[2:-2]) for line in found[1].splitlines()]


def test_the_settings_are_those_that_are_declared() -> None:
    rows = [
        f"| `{row['variable']}` | {row['shown']} | {row['doc']} |" for row in settings.describe()
    ]
    assert between("settings") == "\n".join(
        ["| variable | default | what it says |", "|---|---|---|", *rows, ""]
    )


def test_the_fields_of_a_fix_are_those_of_the_rules() -> None:
    rows = {name.strip("`"): (kind, rule) for name, kind, rule in table("field")}
    assert {name: kind for name, (kind, _) in rows.items()} == {
        name: "number" if "number" in rule else "string" for name, rule in schema.RULES.items()
    }
    assert "\u221290 to 90" in rows["lat"][1]
    assert "\u2212180 to 180" in rows["long"][1]


def commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands and those of groups, by their words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from ((f"{name} {rest}", each) for rest, each in commands(command))
        else:
            yield name, command


def test_every_command_is_listed_with_its_options_and_no_other() -> None:
    there = dict(commands(locctl))
    listed = {}
    for row in table("command"):
        program, *words = row[0].strip("`").split()
        if program == "locctl":
            name = " ".join(words[:2]) if " ".join(words[:2]) in there else words[0]
            listed[name] = {word.strip("[]") for word in words if word.startswith(("[-", "-"))}
    assert listed == {
        name: {option.opts[0] for option in command.params if isinstance(option, click.Option)}
        for name, command in there.items()
    }


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", README)) <= targets


def test_every_module_is_on_the_map() -> None:
    mapped = set(
        re.findall(r"`(locapi/[\w/]+(?:\.py|/)|\w+/)`", " ".join(row[0] for row in table("file")))
    )
    modules = {f"locapi/{path.name}" for path in (ROOT / "locapi").glob("[!_]*.py")}
    files = [path.relative_to(ROOT) for path in (ROOT / "locapi").rglob("[!_]*.*")]
    folders = {f"{path.parent}/" for path in files if "__pycache__" not in path.parts} - {"locapi/"}
    assert mapped == modules | folders | {"cli/", "simulation/", "benchmarks/", "tests/"}


def test_every_link_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_curl_gets_the_answer_shown(api: FlaskClient) -> None:
    found = re.search(r"^\$ (curl [^`]*?)\n(\{.*\})\n```", README, re.MULTILINE)
    assert found
    words = shlex.split(found[1])
    assert words[:4] == ["curl", "-sX", "PUT", "http://localhost:5000/location"]
    answer = api.put("/location", data=words[words.index("-d") + 1])
    assert answer.get_data(as_text=True) == found[2] + "\n"


def test_the_answers_shown_are_json() -> None:
    shown = re.findall(r"`(\{.*?\})`", "\n".join(row[2] for row in table("code")))
    assert [sorted(json.loads(text)) for text in shown] == [
        ["fix_time", "status", "tz"],
        ["error"],
        ["error"],
        ["error"],
        ["error"],
    ]


def test_the_notebooks_code_is_the_script_that_draws_its_picture() -> None:
    notebook = (ROOT / "docs" / "NOTEBOOK.md").read_text()
    shown = re.search(r"<!-- docs/tracks.py -->\n```python\n(.*?)```", notebook, re.DOTALL)
    assert shown
    script = (ROOT / "docs" / "tracks.py").read_text()
    assert script.endswith(f'"""\n\n{shown[1]}')


def test_the_notebooks_code_draws(
    db: Database[Document], send: Send, mongodb_uri: str, tmp_path: Path
) -> None:
    send(user_id="bicycle-01")
    send(user_id="walker-01")
    roll_up(db)
    database = {"MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name}
    headless = {"MPLBACKEND": "Agg", "MPLCONFIGDIR": str(tmp_path)}
    subprocess.run(
        [sys.executable, ROOT / "docs" / "tracks.py"],
        cwd=tmp_path,
        env={**os.environ, **database, **headless},
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "tracks.png").read_bytes().startswith(b"\x89PNG")


def test_the_exports_that_are_shown_write_their_files(
    db: Database[Document], send: Send, mongodb_uri: str, tmp_path: Path
) -> None:
    send()
    roll_up(db)
    shown = re.findall(
        r"^\$ (locctl export.* -o (\S+))$",
        README + (ROOT / "docs" / "EXPORT.md").read_text(),
        re.MULTILINE,
    )
    assert len(shown) == 5
    for command, file in shown:
        program, *words = shlex.split(command)
        subprocess.run(
            [Path(sys.executable).with_name(program), *words],
            cwd=tmp_path,
            env={**os.environ, "MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name},
            check=True,
        )
        assert (tmp_path / file).stat().st_size > 0


def test_the_formats_are_those_that_are_told() -> None:
    page = (ROOT / "docs" / "EXPORT.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \|", page.split("| column |")[0], re.MULTILINE)
    assert {name: tuple(re.findall(r"`(\.\w+)`", suffixes)) for name, suffixes in rows} == {
        name: form.suffixes for name, form in FORMATS.items()
    }


def comparable(output: str) -> list[str]:
    """Return the lines of a run without what differs from run to run."""
    output = re.sub(r"/\S*/locapi-\w+/", "SCRATCH/", output)
    output = re.sub(r"http://127\.0\.0\.1:\d+", "URL", output)
    output = re.sub(
        r"^(seconds|fixes per second|retries|latency .*?) {2,}.*", r"\1", output, flags=re.MULTILINE
    )
    # The widest number, by which columns are laid out, may be a latency.
    return re.sub(" {2,}", "  ", output).splitlines()


def test_make_run_prints_what_is_shown(tmp_path: Path) -> None:
    demo = subprocess.run(
        [sys.executable, ROOT / "simulation" / "demo.py"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert demo.returncode == 0, demo.stderr
    shown = between("output of make run").removeprefix("```text\n").removesuffix("```\n")
    assert comparable(shown) == comparable(demo.stdout)


@pytest.mark.parametrize("path", ["requirements.txt", "requirements-dev.txt"])
def test_the_locks_name_versions_and_hashes_and_no_address(path: str) -> None:
    lock = (ROOT / path).read_text()
    assert not re.search(r"://|^-", lock, re.MULTILINE)
    for requirement in re.split(r"\n(?=\S)", lock.strip()):
        assert re.match(r"[a-z0-9-]+==\S+( ;.*)? \\\n    --hash=sha256:", requirement)
