"""What comes from a file or the database cannot control the terminal."""

from pathlib import Path

import pytest
from locctl.screen import Line
from pymongo.database import Database

from locapi.ingest import tokens
from locapi.storage.documents import Document
from tests.conftest import Locctl
from tests.support.minutes import minute

EVIL = "\x1b]0;title\x07\u202e\u200b"
ESCAPED = r"\x1b]0;title\x07\u202e\u200b"


@pytest.fixture
def stored(db: Database[Document]) -> None:
    tokens.add(db, EVIL)
    db.minutes.insert_one(minute(EVIL, seen=[]))


@pytest.mark.usefixtures("stored")
def test_rows_of_stored_names_are_escaped(locctl: Locctl, tmp_path: Path) -> None:
    dump = tmp_path / "a.dump"
    assert locctl("dump", dump).returncode == 0
    listed = locctl("token", "list")
    assert listed.stdout.splitlines()[1].split("\t")[1] == ESCAPED
    verified = locctl("verify")
    assert verified.returncode == 1
    assert verified.stdout.startswith(f"{ESCAPED}\t")
    checked = locctl("restore", "--check", dump)
    assert checked.returncode == 1
    assert f"the document '{ESCAPED} " in checked.stderr


def test_lines_of_the_status_are_escaped() -> None:
    assert Line(EVIL).styled() == ESCAPED
