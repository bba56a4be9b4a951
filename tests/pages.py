"""The commands that a page shows under a mark, run as they stand."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import ROOT


def run_marked(page: str, mark: str, directory: Path, environ: Mapping[str, str]) -> None:
    """Run the commands between `<!-- mark -->` and `<!-- end -->`, one after the other."""
    text = (ROOT / "docs" / page).read_text()
    found = re.search(rf"<!-- {mark} -->\n```console\n(.*?)```\n<!-- end -->", text, re.DOTALL)
    assert found, mark
    commands = re.findall(r"^\$ (.*)", found[1], re.MULTILINE)
    assert commands
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=directory, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
