"""The commands that the manual shows get, of a real server, the very answers that it shows."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.serving import Serving, serve

HOST = "http://localhost:5000"


@pytest.fixture(scope="module")
def serving(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(mongodb_uri, tmp_path_factory.mktemp("serve"), workers=1) as serving:
        yield serving


def whole(command: str) -> bool:
    """Tell whether a command's quotes are closed and its last line is not continued."""
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\")


def commands(page: str) -> list[tuple[str, str]]:
    """Return the commands that send something to the API, each with the output shown."""
    found: list[list[str]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append([line.removeprefix("$ "), ""])
            elif not whole(found[-1][0]):
                found[-1][0] += f"\n{line}"
            else:
                found[-1][1] += f"{line}\n"
    return [(command, output) for command, output in found if output and HOST in command]


@pytest.mark.parametrize(("name", "count"), [("README.md", 3), ("docs/MOBILE.md", 5)])
def test_curl_prints_what_is_shown(serving: Serving, name: str, count: int) -> None:
    shown = commands(Path(ROOT / name).read_text())
    assert len(shown) == count
    for command, output in shown:
        there = command.replace(HOST, serving.url)
        done = subprocess.run(["bash", "-c", there], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr, done.returncode) == (output, "", 0)
