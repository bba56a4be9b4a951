"""`locctl import`, run as a user runs it."""

import gzip
import json
import os
import re
import signal
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from locapi.importers.formats import FORMATS
from locapi.storage.documents import Document
from simulation.simulate import DATA
from tests.conftest import ROOT, Locctl, a_fix
from tests.support.import_sources import SOURCES
from tests.support.processes import LOCCTL, until

HEADER = "timestamp,lat,long,accuracy,speed,user_id\n"
LINE = "2017-01-01 13:05:12,40.7,-74,5,1.5,a1\n"
GPX = (
    '<gpx><trk><trkseg>\n<trkpt lat="40.7" lon="-74"><time>2017-01-01T18:05:12Z</time></trkpt>\n'
    "</trkseg></trk></gpx>\n"
)


def lines(done: "subprocess.CompletedProcess[str]") -> list[str]:
    return done.stderr.splitlines()


def test_the_report_is_a_table_with_the_commonest_reasons(
    db: Database[Document], locctl: Locctl
) -> None:
    tracks = sorted(DATA.glob("[!.]*"))
    done = locctl("import", *tracks)
    assert (done.returncode, done.stdout) == (0, "")
    header, *files, total = lines(done)[: len(tracks) + 2]
    assert header.split() == ["file", "format", "stored", "duplicate", "rejected", "skipped"]
    assert [each.split()[:2] for each in files] == [
        [str(track), track.suffix[1:]] for track in tracks
    ]
    assert total.split() == ["total", "5,949", "1,618", "53"]
    reasons = lines(done)[len(tracks) + 2 :]
    assert reasons[0] == (
        "        8  timestamp: must be a time that cannot be misread, such as 2017-01-01T18:05:12Z"
    )
    # How deep an array may be before it is no JSON depends on the version of Python.
    assert reasons[10] in ("       11  for 9 other reasons", "       10  for 8 other reasons")
    assert reasons[-1] == "To see the rejected rows, run it again with --rejects FILE."
    assert db.fixes.count_documents({}) == 5_949
    again = locctl("import", *tracks)
    assert lines(again)[len(tracks) + 1].split() == ["total", "0", "7,567", "53"]


def test_the_report_may_be_json(locctl: Locctl, tmp_path: Path) -> None:
    (tmp_path / "a.gpx").write_text(GPX.replace("<trk>", '<wpt lat="1" lon="2"/><trk>'))
    (tmp_path / "b.csv").write_text(HEADER + "x" + LINE + LINE)
    (tmp_path / "c.fit").write_bytes(b"\0" * 8 + b".FIT")
    given = ("--user", "a1", "--accuracy", "5", "--speed", "0", "--json")
    done = locctl("import", *(tmp_path / name for name in ("a.gpx", "b.csv", "c.fit")), *given)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    files = [{**each, "file": Path(each["file"]).name} for each in report.pop("files")]
    reason = "timestamp: must be a time that cannot be misread, such as 2017-01-01T18:05:12Z"
    empty = {"stored": 0, "duplicate": 0, "rejected": 0, "skipped": {}, "reasons": {}}
    good = {**empty, "failed": False, "problem": None}
    assert files == [
        {**good, "file": "a.gpx", "format": "gpx", "stored": 1, "skipped": {"waypoint": 1}},
        {
            **good,
            "file": "b.csv",
            "format": "csv",
            "duplicate": 1,
            "rejected": 1,
            "reasons": {reason: 1},
        },
        {
            **good,
            "file": "c.fit",
            "format": None,
            "problem": "nothing imported: it seems to be a FIT file: export it as GPX, "
            "or convert it to GPX with GPSBabel",
        },
    ]
    assert report == {
        "stored": 1,
        "duplicate": 1,
        "rejected": 1,
        "skipped": {"waypoint": 1},
        "reasons": {reason: 1},
    }


def test_rejected_rows_are_written_with_their_place_and_reason(
    locctl: Locctl, tmp_path: Path
) -> None:
    track, points = tmp_path / "a.csv", tmp_path / "b.ndjson"
    track.write_text(HEADER + LINE + "2017-01-01,95,-74,5,1,a1\n" + LINE.strip() + ",7\n")
    points.write_text(
        json.dumps(a_fix(timestamp="1960-01-01 00:00:00")) + '\n{}\n["' + "x" * 20_000 + '"]\n'
    )
    rejects = tmp_path / "rejects.ndjson"
    rejects.write_text("of before")
    done = locctl("import", track, points, "--rejects", rejects)
    assert (done.returncode, done.stdout) == (0, "")
    assert lines(done)[3].split() == ["total", "1", "0", "5"]
    assert "--rejects" not in done.stderr
    written = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(Path(each["file"]).name, each["place"], each["reason"]) for each in written] == [
        (
            "a.csv",
            "line 3",
            "lat: must be a number from -90 to 90, such as 40.7128 (found: 95; are lat and long "
            "swapped?); timestamp: must be a time that cannot be misread, such as "
            '2017-01-01T18:05:12Z (found: "2017-01-01"; the time of day is missing)',
        ),
        ("a.csv", "line 4", "the row has 7 cells, the header 6 (is a separator unquoted?)"),
        (
            "b.ndjson",
            "line 1",
            "timestamp: must be between 1970-01-01 UTC and one day from now "
            '(found: "1960-01-01 00:00:00")',
        ),
        ("b.ndjson", "line 2", "no timestamp, lat, long, user_id"),
        ("b.ndjson", "line 3", "it is not a JSON object"),
    ]
    assert written[0]["row"]["lat"] == "95"
    assert written[1]["row"] == ["2017-01-01 13:05:12", "40.7", "-74", "5", "1.5", "a1", "7"]
    assert written[2]["row"] == a_fix(timestamp="1960-01-01 00:00:00")
    assert written[3]["row"] == "{}" or written[3]["row"] == {}
    assert len(written[4]["row"]) < 9_000


def test_standard_input_is_read_gzipped_or_not(
    db: Database[Document], environ: dict[str, str]
) -> None:
    second = HEADER + LINE.replace(":12", ":13")
    for text in ((HEADER + LINE).encode(), gzip.compress(second.encode())):
        done = subprocess.run(
            [LOCCTL, "import", "-"], env=environ, input=text, capture_output=True, timeout=60
        )
        assert done.returncode == 0
        assert done.stderr.split()[-5:] == [b"input", b"csv", b"1", b"0", b"0"]
    assert db.fixes.count_documents({}) == 2


def test_a_first_run_names_the_option_that_is_needed(
    db: Database[Document], locctl: Locctl, tmp_path: Path
) -> None:
    track = tmp_path / "hike.gpx"
    track.write_text(GPX)
    first = locctl("import", track)
    assert first.returncode == 1
    assert lines(first)[2:] == [
        "        1  no user_id",
        f"warning: {track}: nothing imported: 1 row rejected (no user_id)",
        "GPX names no user in 1 row: add --user USER, "
        "or --column user_id=NAME if the file has another name for it.",
        "To see the rejected rows, run it again with --rejects FILE.",
    ]
    given = locctl("import", track, "--user", "a1", "--accuracy", "10")
    assert given.returncode == 0
    assert len(lines(given)) == 2
    (fix,) = db.fixes.find()
    assert {name: fix[name] for name in ("local_time", "accuracy", "speed", "user_id")} == {
        "local_time": "2017-01-01 13:05:12",
        "accuracy": 10.0,
        "speed": None,
        "user_id": "a1",
    }


def test_zone_and_unit_options_apply(
    db: Database[Document], locctl: Locctl, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(HEADER + LINE)
    options = ("--timezone", "Europe/Berlin", "--speed-unit", "knots")
    assert locctl("import", tmp_path / "a.csv", *options).returncode == 0
    (fix,) = db.fixes.find()
    assert (fix["local_time"], round(fix["speed"], 3)) == ("2017-01-01 07:05:12", 0.772)


def test_the_first_of_several_files_wins_and_a_broken_one_does_not_end_the_import(
    db: Database[Document], locctl: Locctl, tmp_path: Path
) -> None:
    texts = {
        "a.gpx": GPX.replace("</trkseg>", "</trk>"),
        "b.csv": HEADER.replace("lat", "latitude") + LINE,
        "c.csv": HEADER + LINE.replace("40.7", "41"),
        "d.html": "<!DOCTYPE html><html>",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    paths = [tmp_path / name for name in texts]
    done = locctl("import", *paths, "--user", "a1", "--accuracy", "5", "--speed", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert [each.split()[1:] for each in lines(done)[1:6]] == [
        ["gpx", "1", "0", "0"],
        ["csv", "0", "0", "0"],
        ["csv", "0", "1", "0"],
        ["0", "0", "0"],
        ["1", "1", "0"],
    ]
    assert lines(done)[6:] == [
        f"failed: {paths[0]}: line 3: mismatched tag (after line 2; what comes before is imported)",
        f"failed: {paths[1]}: missing columns: lat. Found: timestamp, latitude, long, accuracy, "
        "speed, user_id. Add --column lat=latitude.",
        f"warning: {paths[3]}: nothing imported: it seems to be an HTML page",
    ]
    assert [fix["lat"] for fix in db.fixes.find()] == [40.7]


def test_text_of_a_file_is_escaped_in_messages(locctl: Locctl, tmp_path: Path) -> None:
    track = tmp_path / "a\x1b[31m.csv"
    track.write_text("\x1b]0;title\x07,\u202elat\n1,2\n")
    feature = {"type": "Feature", "geometry": {"type": "\x1b[2J"}}
    (tmp_path / "b.json").write_text(json.dumps(feature))
    done = locctl("import", track, tmp_path / "b.json")
    assert done.returncode == 1
    assert all(line.isprintable() for line in lines(done))
    assert r"Found: \x1b]0;title\x07, \u202elat" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'FILE…'"),
        (["none.csv"], "cannot read none.csv: No such file or directory"),
        (["a.csv", "none.csv"], "cannot read none.csv: No such file or directory"),
        (["a.csv", "--rejects", "a.csv"], "a.csv is one of the files to import"),
        (
            ["a.csv", "--column", "latitude=lat"],
            "'latitude=lat' is not FIELD=NAME, with FIELD one of",
        ),
        (["a.csv", "--column", "lat"], "'lat' is not FIELD=NAME, with FIELD one of timestamp"),
        (["a.csv", "--user", "a\tb"], "must not contain control characters"),
        (["a.csv", "--accuracy", "-1"], "'-1' is not valid. Write a number, 0 or more"),
        (["a.csv", "--timezone", "CEST"], "'CEST' is not a time zone. Write a name such as"),
        (["a.csv", "--speed-unit", "km"], "'km' is not one of"),
        (["a.csv", "--format", "xls"], "'xls' is not one of"),
    ],
)
def test_a_misuse_stores_nothing(
    db: Database[Document], locctl: Locctl, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "a.csv").write_text(HEADER + LINE)
    misused = locctl("import", *arguments, cwd=tmp_path)
    assert (misused.returncode, misused.stdout) == (2, "")
    assert said in misused.stderr
    assert db.fixes.find_one() is None
    assert (tmp_path / "a.csv").read_text() == HEADER + LINE


def test_unwritable_rejects_file_is_reported_in_one_sentence(
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


def test_ctrl_c_ends_the_import_in_one_line_and_reported_fixes_are_stored(
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
        until(lambda: db.fixes.estimated_document_count() >= 2_000)
        running.send_signal(signal.SIGINT)
        out, messages = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert messages in {
        f"interrupted: {count} stored, 0 duplicate, 0 rejected so far. Run it again to go on.\n"
        for count in ("1,000", "2,000", "3,000")
    }
    assert db.fixes.count_documents({}) >= int(messages.split()[1].replace(",", ""))


def test_a_source_in_the_manual_is_imported_by_its_command(
    db: Database[Document], environ: dict[str, str], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "IMPORT.md").read_text()
    table = page.partition("| your files | command |")[2].partition("\n\n")[0]
    commands = re.findall(r"^\| .+ \| `(.+)` \|$", table, re.MULTILINE)
    assert len(commands) == table.count("\n") - 1 >= 15
    for name, (content, _) in SOURCES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    tried: set[str] = set()
    for command in commands:
        patterns = [word for word in command.replace("\\|", " ").split() if "." in word]
        names = {name for name in SOURCES for each in patterns if fnmatch(name, each)}
        tried |= names
        db.fixes.delete_many({})
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command.replace("\\|", "|")],
            env={**environ, "PATH": f"{LOCCTL.parent}:{environ['PATH']}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        fixes = list(db.fixes.find())
        assert (done.returncode, "rejected (" in done.stderr) == (0, False), done.stderr
        assert {f"{fix['fix_time']:%Y-%m-%d %H:%M}"[:-1] for fix in fixes} == {"2024-06-15 10:3"}
        speeds = {fix["speed"] for fix in fixes if fix["speed"] is not None}
        assert {round(speed, 1) for speed in speeds} <= {1, 1.4, 1.5, 3, 5.1, 10}
    assert tried == set(SOURCES)


def test_manual_lists_all_formats() -> None:
    page = (ROOT / "docs" / "IMPORT.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(FORMATS)
