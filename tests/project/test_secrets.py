"""docker/secrets.sh makes each secret once, even if it is killed or several run at once."""

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODES = {
    "mongodb_root_password": 0o400,
    "mongodb_keyfile": 0o400,
    "mongodb_locapi_password": 0o440,
}
# In place of each program that the script runs: may kill the script, and does not change owners.
PROGRAM = """#!/bin/sh
echo "${0##*/} $*" >>"$RAN"
[ "$(wc -l <"$RAN")" -lt "${KILLED_AT:-1000}" ] || kill -KILL 0
[ "${0##*/}" != chown ] || exit 0
PATH=${PATH#*:} exec "${0##*/}" "$@"
"""


class Script:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "docker" / "secrets.sh"
        self.own = directory / "docker" / "secrets"
        self.volume = directory / "volume"
        self.ran = directory / "ran"
        self._programs = directory / "programs"
        for each in (self._programs, self.path.parent, self.volume):
            each.mkdir()
        shutil.copy(ROOT / "docker" / "secrets.sh", self.path)
        for name in ("cat", "chmod", "chown", "ln", "mkdir", "mktemp", "mv", "od", "rm", "tr"):
            (self._programs / name).write_text(PROGRAM)
            (self._programs / name).chmod(0o755)

    def start(self, *command: str | Path, **environ: str) -> "subprocess.Popen[str]":
        path = f"{self._programs}:{os.environ['PATH']}"
        return subprocess.Popen(
            command,
            env={"PATH": path, "RAN": str(self.ran), **environ},
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def make_own(self) -> dict[str, str]:
        with self.start(self.path) as process:
            assert process.wait(30) == 0
        return read(self.own)

    def fill_volume(self) -> dict[str, str]:
        """Run it as compose does."""
        with self.start(self.path, self.volume) as process:
            assert process.wait(30) == 0
        return read(self.volume)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def read(directory: Path) -> dict[str, str]:
    found = {path.name: path.read_text() for path in directory.glob("mongodb_*")}
    assert all(re.fullmatch("[0-9a-f]{64}\n", secret) for secret in found.values()), found
    return found


def test_secrets_are_random_and_readable_by_their_users_only(script: Script) -> None:
    made = script.fill_volume()
    assert len(set(made.values())) == len(made)
    assert {name: (script.volume / name).stat().st_mode & 0o777 for name in made} == MODES
    assert [line for line in script.ran.read_text().splitlines() if line.startswith("chown")] == [
        f"chown mongodb {script.volume}/mongodb_root_password",
        f"chown mongodb {script.volume}/mongodb_keyfile",
        f"chown mongodb:10001 {script.volume}/mongodb_locapi_password",
    ]


@pytest.mark.parametrize("make", [Script.fill_volume, Script.make_own])
def test_existing_secret_is_kept_and_a_missing_one_made(
    script: Script, make: Callable[[Script], dict[str, str]]
) -> None:
    before = make(script)
    for directory in (script.volume, script.own):
        (directory / "mongodb_keyfile").unlink(missing_ok=True)
    after = make(script)
    assert {name for name in MODES if after[name] != before[name]} == {"mongodb_keyfile"}


def test_own_secrets_replace_those_of_the_volume(script: Script) -> None:
    before = script.fill_volume()
    own = script.make_own()
    assert script.own.stat().st_mode & 0o777 == 0o700
    (script.own / "mongodb_keyfile").unlink()
    assert script.fill_volume() == {**own, "mongodb_keyfile": before["mongodb_keyfile"]}


def test_killed_run_leaves_only_whole_secrets_and_the_next_one_completes_them(
    script: Script,
) -> None:
    for number in itertools.count(1):
        shutil.rmtree(script.volume)
        script.ran.unlink(missing_ok=True)
        with script.start(script.path, script.volume, KILLED_AT=str(number)) as process:
            if process.wait(30) == 0:
                break
        before = read(script.volume)
        after = script.fill_volume()
        assert set(after) == set(MODES)
        assert after.items() >= before.items()
    assert number > 20


def test_several_runs_at_once_agree(script: Script) -> None:
    shell = f"{script.path} {script.volume} && cd {script.volume} && grep . mongodb_*"
    runs = [script.start("sh", "-c", shell) for _ in range(8)]
    outputs = {run.communicate(timeout=30)[0] for run in runs}
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == len(MODES)
