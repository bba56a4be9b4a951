"""The commands of docs/OPERATIONS.md do what it says."""

import os
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from locapi import mongo
from locapi.fixes import FixStore
from locapi.rollup import roll_up
from locapi.settings import Settings
from tests.crashing import FOLDED, NEW, NOW, as_fix
from tests.pages import run_marked

run_the = partial(run_marked, "OPERATIONS.md")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if name != "MONGODB_URI"}
    return {**kept, "PATH": path, "LOCAPI_DATA_DIR": str(tmp_path / "data")}


def test_a_restored_backup_is_what_was_there_before(
    environ: dict[str, str], tmp_path: Path
) -> None:
    data_dir = Path(environ["LOCAPI_DATA_DIR"])
    with mongo.open_database(Settings(data_dir=data_dir)) as database:
        store = FixStore(database, lambda: NOW)
        for sent in FOLDED:
            store.put(as_fix(sent))
        roll_up(database)
        for sent in NEW:
            store.put(as_fix(sent))
    run_the("backup of the embedded database", tmp_path, environ)
    shutil.rmtree(data_dir)
    run_the("restore of the embedded database", tmp_path, environ)
    with mongo.open_database(Settings(data_dir=data_dir)) as database:
        assert database.fixes.count_documents({}) == len(FOLDED + NEW)
        roll_up(database)
        counts = [minute["count"] for minute in database.minutes.find()]
        assert sum(counts) == len(FOLDED + NEW)
    assert data_dir.stat().st_mode & 0o777 == 0o700
