"""Let schemathesis hold a running server against its own OpenAPI document."""

import os
import subprocess
import sys
from pathlib import Path

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

# By the pattern alone a timestamp may be out of range; only the hooks of `positive` narrow it.
_CHECKS: dict[str, list[str]] = {
    "positive": [],
    "negative": ["--exclude-checks", "positive_data_acceptance"],
}


def check(url: str, directory: Path, mode: str, examples: int, seed: int = 1) -> str:
    """Send requests that are valid by the document, or that are not; return the last line said.

    What it writes goes to `directory`. Raises AssertionError with all it said if it found fault.
    """
    # fmt: off
    command = [
        str(SCHEMATHESIS), "run", f"{url}/openapi.json", "--mode", mode,
        "--max-examples", str(examples), "--checks", "all", *_CHECKS[mode],
        "--phases", "examples,coverage,fuzzing", "--seed", str(seed), "--max-response-time", "5",
        "--continue-on-failure", "--no-color",
    ]
    # fmt: on
    environ = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "FUZZ_MODE": mode}
    environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, cwd=directory, env=environ, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1].strip("= ")
