"""`locctl import`, run as a user runs it."""

import gzip
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from locapi import readers
from locapi.mongo import Document
from simulation.simulate import DATA
from tests.conftest import LOCCTL, ROOT, Locctl, Send, a_fix

HEADER = "timestamp,lat,long,accuracy,speed,user_id\n"
LINE = "2017-01-01 13:05:12,40.7,-74,5,1.5,a1\n"
GPX = (
    '<gpx><trk><trkseg>\n<trkpt lat="40.7" lon="-74"><time>2017-01-01T18:05:12Z</time></trkpt>\n'
    "</trkseg></trk></gpx>\n"
)


def test_the_sample_tracks_come_out_as_when_they_are_sent(
    db: Database[Document], locctl: Locctl
) -> None:
    tracks = sorted(DATA.glob("[!.]*"))
    done = locctl("import", *tracks)
    assert (done.returncode, done.stdout) == (0, "")
    counts, *reasons, hint = done.stderr.splitlines()
    assert counts == "5,943 stored, 1,602 duplicate, 75 rejected"
    assert reasons[0] == (
        "       16  timestamp: must be a local date and time such as 2017-01-01 13:05:12.345"
    )
    assert reasons[-1].endswith(" other reasons")
    assert hint == "to see the rows, run it again with --rejects FILE"
    assert db.fixes.count_documents({}) == 5_943
    again = locctl("import", *tracks)
    assert again.stderr.splitlines()[0] == "0 stored, 7,545 duplicate, 75 rejected"


def test_rejected_rows_are_written_with_their_place_and_reason(
    locctl: Locctl, tmp_path: Path
) -> None:
    track, points = tmp_path / "a.csv", tmp_path / "b.ndjson"
    track.write_text(HEADER + LINE + "2017-01-01,95,-74,5,,a1\n" + LINE.strip() + ",7\n")
    points.write_text(json.dumps(a_fix(timestamp="1960-01-01 00:00:00")) + "\n[]\n")
    rejects = tmp_path / "rejects.ndjson"
    rejects.write_text("of before")
    done = locctl("import", track, points, "--rejects", rejects)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[0] == "1 stored, 0 duplicate, 4 rejected"
    assert "--rejects" not in done.stderr
    local_time = "timestamp: must be a local date and time such as 2017-01-01 13:05:12.345"
    written = [json.loads(line) for line in rejects.read_text().splitlines()]
    for each in written:  # what was sent, and what may have been meant, is in the row
        each["reason"] = re.sub(r" \(sent: [^)]*\)", "", each["reason"])
    assert written == [
        {
            "file": str(track),
            "place": "line 3",
            "reason": "lat: must be a number from -90 to 90, such as 40.7128; "
            "speed: required field (must be a number 0 or more, such as 1.4); "
            f"{local_time}",
            "row": {
                "timestamp": "2017-01-01",
                "lat": "95",
                "long": "-74",
                "accuracy": "5",
                "speed": "",
                "user_id": "a1",
            },
        },
        {
            "file": str(track),
            "place": "line 4",
            "reason": "the row has 7 cells, where the header has 6",
            "row": ["2017-01-01 13:05:12", "40.7", "-74", "5", "1.5", "a1", "7"],
        },
        {
            "file": str(points),
            "place": "line 1",
            "reason": "timestamp: must mean an instant from 1970-01-01 UTC to one day from now, "
            "such as 2017-01-01 13:05:12.345",
            "row": json.dumps(a_fix(timestamp="1960-01-01 00:00:00")),
        },
        {
            "file": str(points),
            "place": "line 2",
            "reason": "the body is not a JSON object",
            "row": "[]",
        },
    ]


def test_standard_input_is_read_gzipped_or_not(
    db: Database[Document], environ: dict[str, str]
) -> None:
    second = HEADER + LINE.replace(":12", ":13")
    for text in ((HEADER + LINE).encode(), gzip.compress(second.encode())):
        done = subprocess.run(
            [LOCCTL, "import", "-"], env=environ, input=text, capture_output=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, b"1 stored, 0 duplicate, 0 rejected\n")
    assert db.fixes.count_documents({}) == 2


def test_what_a_file_lacks_is_given_or_its_rows_are_rejected(
    db: Database[Document], locctl: Locctl, tmp_path: Path
) -> None:
    track = tmp_path / "hike.gpx"
    track.write_text(GPX)
    lacking = locctl("import", track)
    assert lacking.returncode == 0
    assert lacking.stderr.splitlines() == [
        "0 stored, 0 duplicate, 1 rejected",
        "        1  accuracy: required field (must be a number 0 or more, such as 5)",
        "        1  speed: required field (must be a number 0 or more, such as 1.4)",
        "        1  user_id: required field (must be a string of 1 to 128 characters, such as a1)",
        "to see the rows, run it again with --rejects FILE",
    ]
    given = locctl("import", track, "--user", "a1", "--accuracy", "10", "--speed", "0")
    assert given.stderr == "1 stored, 0 duplicate, 0 rejected\n"
    (fix,) = db.fixes.find()
    assert {name: fix[name] for name in ("local_time", "accuracy", "speed", "user_id")} == {
        "local_time": "2017-01-01 13:05:12",
        "accuracy": 10.0,
        "speed": 0.0,
        "user_id": "a1",
    }


def test_the_first_of_several_files_wins(
    db: Database[Document], locctl: Locctl, tmp_path: Path
) -> None:
    first, second = tmp_path / "b.csv", tmp_path / "a.csv"
    first.write_text(HEADER + LINE)
    second.write_text("when;lat;long;accuracy;speed;user_id\n2017-01-01 13:05:12;41;-74;5;1;a1\n")
    columns = ["--column", "timestamp=when"]
    refused = locctl("import", first, second)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[0] == "1 stored, 0 duplicate, 0 rejected so far"
    assert f"Error: {second}: the header has no columns 'timestamp'" in refused.stderr
    done = locctl("import", second, *columns)
    assert done.stderr == "0 stored, 1 duplicate, 0 rejected\n"
    assert [fix["lat"] for fix in db.fixes.find()] == [40.7]


def test_a_broken_file_ends_the_import_with_what_came_before_stored(
    db: Database[Document], locctl: Locctl, tmp_path: Path
) -> None:
    broken, other = tmp_path / "a.gpx", tmp_path / "b.csv"
    broken.write_text(GPX.replace("</trkseg>", "</trk>"))
    other.write_text(HEADER + LINE)
    done = locctl("import", broken, other, "--user", "g", "--accuracy", "5", "--speed", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "1 stored, 0 duplicate, 0 rejected so far\n"
        f"Error: {broken} cannot be read on after line 2: line 3: mismatched tag; "
        "mend the file and import it again\n"
    )
    assert [fix["user_id"] for fix in db.fixes.find()] == ["g"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'FILE...'"),
        (["none.csv"], "none.csv cannot be read: No such file or directory"),
        (["a.csv", "none.csv"], "none.csv cannot be read: No such file or directory"),
        (["a.csv", "b.bin"], "b.bin: cannot tell its format; say it with --format"),
        (["a.csv", "--rejects", "a.csv"], "a.csv is to be read"),
        (["a.csv", "--column", "latitude=lat"], "'latitude=lat': write FIELD=NAME, FIELD one of"),
        (["a.csv", "--column", "lat"], "'lat': write FIELD=NAME, FIELD one of timestamp, lat,"),
        (["a.csv", "--user", "a\tb"], "must have no control character"),
        (["a.csv", "--accuracy", "-1"], "-1.0 is not in the range"),
        (["a.csv", "--format", "xls"], "'xls' is not one of"),
    ],
)
def test_a_misuse_stores_nothing(
    db: Database[Document],
    environ: dict[str, str],
    tmp_path: Path,
    arguments: list[str],
    said: str,
) -> None:
    (tmp_path / "a.csv").write_text(HEADER + LINE)
    (tmp_path / "b.bin").write_bytes(b"\0\1\2")
    misused = subprocess.run(
        [LOCCTL, "import", *arguments],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (misused.returncode, misused.stdout) == (2, "")
    assert said in misused.stderr
    assert db.fixes.find_one() is None
    assert (tmp_path / "a.csv").read_text() == HEADER + LINE


def test_rejects_that_cannot_be_written_are_said_in_one_sentence(
    db: Database[Document], locctl: Locctl, tmp_path: Path
) -> None:
    track = tmp_path / "a.csv"
    track.write_text(HEADER + "x" + LINE)
    nowhere = locctl("import", track, "--rejects", tmp_path / "no" / "rejects")
    assert (nowhere.returncode, nowhere.stderr) == (
        1,
        f"Error: cannot write {tmp_path}/no/rejects: No such file or directory\n",
    )
    full = locctl("import", track, "--rejects", "/dev/full")
    assert full.returncode == 1
    assert full.stderr.endswith("Error: cannot write /dev/full: No space left on device\n")


def test_a_database_that_is_away_is_told_before_anything_is_read(
    locctl: Locctl, tmp_path: Path
) -> None:
    track = tmp_path / "a.csv"
    track.write_text(HEADER + LINE)
    away = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"
    failed = locctl("import", track, MONGODB_URI=away)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == (
        "Error: the database does not answer (127.0.0.1:1: [Errno 111] Connection refused); "
        "see that it runs and that MONGODB_URI names it\n"
    )


def test_ctrl_c_ends_it_in_one_line_and_what_was_reported_is_there(
    db: Database[Document], environ: dict[str, str], tmp_path: Path
) -> None:
    pipe, rejects = tmp_path / "track", tmp_path / "rejects"
    os.mkfifo(pipe)
    running: Any = subprocess.Popen(
        [LOCCTL, "import", "--format", "csv", pipe, "--rejects", rejects],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with running, pipe.open("w") as track:
        track.write(HEADER)
        for number in range(3_000):
            minute, second = divmod(number, 60)
            track.write(LINE.replace("13:05:12", f"13:{minute:02}:{second:02}"))
        track.flush()  # the last batch is not whole, and its reader waits
        deadline = time.monotonic() + 60
        while db.fixes.estimated_document_count() < 2_000:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        out, told = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert told in {
        f"interrupted: {count} stored, 0 duplicate, 0 rejected so far; run it again to go on\n"
        for count in ("1,000", "2,000", "3,000")
    }
    assert db.fixes.count_documents({}) >= int(told.split()[1].replace(",", ""))


def test_an_imported_fix_is_what_the_api_stores(
    db: Database[Document], send: Send, locctl: Locctl, tmp_path: Path
) -> None:
    send()
    (sent,) = db.fixes.find({}, {"received_at": 0})
    db.fixes.delete_many({})
    track = tmp_path / "a.ndjson"
    track.write_text(json.dumps(a_fix()))
    locctl("import", track)
    assert list(db.fixes.find({}, {"received_at": 0})) == [sent]


def test_the_commands_in_the_manual_do_what_they_say(
    db: Database[Document], environ: dict[str, str], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "IMPORT.md").read_text()
    (block,) = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    record = {"latitudeE7": 407_000_000, "longitudeE7": -740_000_000, "accuracy": 5}
    files = {
        "tracks/1.csv.gz": gzip.compress((HEADER + LINE).encode()),
        "tracks/2.csv.gz": gzip.compress((HEADER + LINE.replace(":12", ":13")).encode()),
        "hike.gpx": GPX.replace(":12", ":14").encode(),
        "Records.json": json.dumps(
            {"locations": [{**record, "timestamp": "2017-01-01T18:05:15Z"}, record]}
        ).encode(),
        "other.csv": b"latitude,longitude,timestamp,accuracy,speed\n"
        b"40.7,-74,2017-01-01 18:05:16+00:00,5,0\n",
        "tracks.ndjson.gz": gzip.compress(
            json.dumps(a_fix(timestamp="2017-01-01 13:05:17")).encode()
        ),
    }
    (tmp_path / "tracks").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env={**environ, "PATH": f"{LOCCTL.parent}:{environ['PATH']}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    assert [fix["local_time"] for fix in db.fixes.find({"user_id": "a1"}).sort("_id", 1)] == [
        f"2017-01-01 13:05:{second}" for second in range(12, 18)
    ]
    (reject,) = (tmp_path / "rejects.ndjson").read_text().splitlines()
    assert json.loads(reject)["place"] == "locations[1]"


def test_the_formats_in_the_manual_are_those_there_are() -> None:
    page = (ROOT / "docs" / "IMPORT.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(readers.MODULES)
