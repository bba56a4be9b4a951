"""The volume is saved, wiped and restored by the commands that the manual gives."""

import subprocess
from pathlib import Path

from tests.conftest import ROOT
from tests.docker.stack import (
    compose,
    compose_command,
    is_healthy,
    locctl,
    put,
    up,
    wait_until,
)

TAR = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "tar", "mongo", "-C", "/data/db")


def test_what_was_saved_is_there_again_after_the_volume_was_lost(tmp_path: Path) -> None:
    for number in range(50):
        assert put(user_id="saved", timestamp=f"2017-01-01 13:{number:02}:00")[0] == 200
    locctl("rollup")
    before = locctl("export")
    archive = tmp_path / "mongo.tar"

    compose("stop", "mongo")
    with archive.open("wb") as out:
        subprocess.run(compose_command(*TAR, "-cf", "-", "."), cwd=ROOT, stdout=out, check=True)
    compose("start", "mongo")
    wait_until(is_healthy)
    assert put(user_id="after the backup") == (200, "stored")

    compose("down", "--volumes")
    with archive.open("rb") as saved:
        subprocess.run(compose_command(*TAR, "-xf", "-"), cwd=ROOT, stdin=saved, check=True)
    up()

    locctl("verify")
    assert locctl("export") == before
    assert put(user_id="saved", timestamp="2017-01-01 13:00:00", lat=12.0) == (200, "duplicate")
    assert put(user_id="after the backup") == (200, "stored")
