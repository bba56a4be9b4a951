"""The rights that docker/ready.js grants to the user of the containers."""

import json
import re

from locapi.storage.collections import COLLECTIONS
from locapi.storage.documents import Document
from tests.conftest import ROOT


def of_containers(*, with_dbstats: bool = True) -> list[Document]:
    """Return the privileges on the database `locapi`."""
    script = (ROOT / "docker" / "ready.js").read_text()
    rights = re.findall(r"^  ([a-z]+): (\[\"[a-z].*?\]),", script, re.MULTILINE)
    [also] = re.findall(r"\.\.\.actions, (.*?)\]", script)
    [of_all] = re.findall(r'collection: "" \}, actions: (\[.*?\])', script)
    actions = {name: [*json.loads(own), *json.loads(f"[{also}]")] for name, own in rights}
    assert set(actions) == {each.name for each in COLLECTIONS}
    actions[""] = [each for each in json.loads(of_all) if with_dbstats or each != "dbStats"]
    return [
        {"resource": {"db": "locapi", "collection": name}, "actions": allowed}
        for name, allowed in actions.items()
    ]
