"""The simulator in batches counts the same as one by one, against a running API."""

import re
import subprocess
import sys
from pathlib import Path

from pymongo.database import Database

from locapi.storage.documents import Document
from tests.conftest import ROOT
from tests.support.serving import serve

TRACKS = ["simulation/data/dirt.ndjson", "simulation/data/autumn_new_york.ndjson"]


def counts(url: str, *options: str) -> dict[str, str]:
    command = [sys.executable, "-m", "simulation.simulate", *options, *TRACKS]
    done = subprocess.run(
        command, env={"API_HOST": url}, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^(fixes sent|  (?:stored|duplicate)) +([0-9,]+)$", done.stdout, re.M))


def test_batches_store_what_single_requests_store(
    db: Database[Document], mongodb_uri: str, tmp_path: Path
) -> None:
    single = {"LOCAPI_DATABASE": db.name}
    with serve(mongodb_uri, tmp_path, environ=single) as serving:
        in_batches = counts(serving.url, "--batch", "100")
        again = counts(serving.url)
    assert in_batches["fixes sent"] == again["fixes sent"]
    stored = {fix["_id"] for fix in db.fixes.find({}, {"_id": 1})}
    assert f"{len(stored):,}" == in_batches["  stored"]
    assert "  stored" not in again
