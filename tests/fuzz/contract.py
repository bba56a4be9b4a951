"""Check a running server against its own OpenAPI document, by schemathesis."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

# A timestamp that matches the pattern may be out of range, except with the hook for `positive`.
_CHECKS = {"positive": [], "negative": ["--exclude-checks", "positive_data_acceptance"]}


def check(url: str, directory: Path, mode: str, examples: int, seed: int) -> str:
    """Send requests that are valid by the document, or that are not; return the last line printed.

    Files go to `directory`. Raises AssertionError with the whole output if a check fails.
    """
    # fmt: off
    command = [
        str(SCHEMATHESIS), "run", f"{url}/openapi.json", "--mode", mode,
        "--max-examples", str(examples), "--checks", "all", *_CHECKS[mode],
        "--phases", "examples,coverage,fuzzing", "--seed", str(seed), "--max-response-time", "5",
        "--continue-on-failure", "--no-color",
    ]
    # fmt: on
    hooks = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "FUZZ_MODE": mode, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **hooks},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1].strip("= ")
