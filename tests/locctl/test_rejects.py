"""`locctl rejects` lists what clients sent that is not a valid fix."""

import json

from pymongo.database import Database

from locapi.errors import InvalidFix
from locapi.ingest.rejects import Reject, RejectStore
from locapi.storage.documents import Document
from tests.conftest import Locctl

LAT = "lat: must be a number from -90 to 90, such as 40.7128 (sent: 91; are lat and long swapped?)"
LONG = "long: must be a number from -180 to 180, such as -74.006 (sent: null)"
TIME = (
    "timestamp: must be a local date and time such as 2017-01-01 13:05:12.345 "
    '(sent: "2017-01-01T1\\"(3);"; use a space instead of the T; set the locale)'
)
SPEED = 'speed: must be a number 0 or more, such as 1.4 (sent: "x")'


def test_rejects_are_listed_and_counted_by_reason(db: Database[Document], locctl: Locctl) -> None:
    empty = locctl("rejects")
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "")
    store = RejectStore(db, 30)
    store.keep("overland", [Reject("a1", {"n": n}, InvalidFix(LAT)) for n in range(2)])
    store.keep("owntracks", [Reject("b", b"\x1b[2J", InvalidFix(f"{LAT}; {SPEED}"))])
    store.keep("owntracks", [Reject("c", {}, InvalidFix(f"{LONG}; {TIME}; and 1 more in fields"))])
    listed = locctl("rejects")
    assert listed.returncode == 0
    header, *rows = listed.stdout.splitlines()
    assert header == "received\tendpoint\tuser\treason\tcontent"
    assert sorted(row.split("\t")[1:3] for row in rows) == [
        ["overland", "a1"],
        ["overland", "a1"],
        ["owntracks", "b"],
        ["owntracks", "c"],
    ]
    assert "\x1b" not in listed.stdout
    first, *others = listed.stderr.splitlines()
    assert [first, *sorted(others)] == [
        "        2  lat: must be a number from -90 to 90, such as 40.7128",
        "        1  lat: must be a number from -90 to 90, such as 40.7128; "
        "speed: must be a number 0 or more, such as 1.4",
        "        1  long: must be a number from -180 to 180, such as -74.006; timestamp: must be a "
        "local date and time such as 2017-01-01 13:05:12.345; and 1 more in fields",
    ]
    of_one = locctl("rejects", "--user", "b", "--json")
    (found,) = map(json.loads, of_one.stdout.splitlines())
    assert (found["user"], found["content"]) == ("b", "\x1b[2J")
