"""Where the real tracks are; without them these tests are not collected."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_asked_for = os.environ.get("REAL_TRACKS")
TRACKS = Path(_asked_for or ROOT.parent / "shared" / "data")

if not TRACKS.is_dir():
    if _asked_for:
        raise pytest.UsageError(f"REAL_TRACKS is {TRACKS}, where there is no directory")
    collect_ignore_glob = ["*"]


@pytest.fixture
def tracks() -> Path:
    return TRACKS
