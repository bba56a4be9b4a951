"""The commands of docs/BACKUP.md do what it says."""

import os
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from locapi.ingest.store import FixStore
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import mongo
from tests.support.crashing import FOLDED, NEW, NOW, as_fix
from tests.support.pages import run_marked

run_the = partial(run_marked, "BACKUP.md")


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
        fold_new_fixes(database)
        for sent in NEW:
            store.put(as_fix(sent))
    run_the("backup of the embedded database", tmp_path, environ)
    shutil.rmtree(data_dir)
    run_the("restore of the embedded database", tmp_path, environ)
    with mongo.open_database(Settings(data_dir=data_dir)) as database:
        assert database.fixes.count_documents({}) == len(FOLDED + NEW)
        fold_new_fixes(database)
        counts = [minute["count"] for minute in database.minutes.find()]
        assert sum(counts) == len(FOLDED + NEW)
    assert data_dir.stat().st_mode & 0o777 == 0o700
