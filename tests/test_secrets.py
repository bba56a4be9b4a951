"""`docker/secrets.sh`: each secret is made once, and no one else can read them."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

NAMES = {"mongodb_root_password", "mongodb_locapi_password", "mongodb_keyfile"}


def make(directory: Path) -> dict[str, str]:
    script = directory / "secrets.sh"
    shutil.copy(ROOT / "docker" / "secrets.sh", script)
    subprocess.run([script], cwd="/", check=True, capture_output=True)
    return {path.name: path.read_text() for path in (directory / "secrets").iterdir()}


def test_each_is_another_and_random(tmp_path: Path) -> None:
    made = make(tmp_path)

    assert set(made) == NAMES
    assert len(set(made.values())) == len(NAMES)
    assert all(re.fullmatch("[0-9a-f]{64}\n", secret) for secret in made.values())


def test_one_that_is_there_is_kept_and_one_that_lacks_is_made(tmp_path: Path) -> None:
    made = make(tmp_path)
    (tmp_path / "secrets" / "mongodb_keyfile").unlink()

    again = make(tmp_path)

    assert set(again) == NAMES
    assert {name for name in NAMES if again[name] != made[name]} == {"mongodb_keyfile"}


def test_the_directory_keeps_others_out_and_the_files_let_the_containers_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "secrets").mkdir(mode=0o755)
    make(tmp_path)

    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "secrets").iterdir():
        assert path.stat().st_mode & 0o777 == 0o444
