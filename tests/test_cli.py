"""`locctl`, run as a user runs it."""

import io
import json
import os
import re
import signal
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from pymongo.database import Database

from cli import main
from locapi.mongo import Document
from tests.conftest import LOCCTL, Locctl, Send

HEADER = "user_id,minute,lat,long,accuracy,speed,count\n"
A_MINUTE = HEADER + "a1,2017-01-01T18:05:00Z,40.7,-74.0,5.0,1.5,1\n"


def test_rollup_talks_to_standard_error_and_export_writes_data(send: Send, locctl: Locctl) -> None:
    send()
    rolled_up = locctl("rollup")
    assert (rolled_up.returncode, rolled_up.stdout) == (0, "")
    assert rolled_up.stderr.startswith("rolled up in ")
    assert rolled_up.stderr.endswith(" s: 1 raw fixes, 1 minutes\n")
    exported = locctl("export")
    assert (exported.returncode, exported.stdout, exported.stderr) == (0, A_MINUTE, "")


def test_export_selects_and_formats(send: Send, locctl: Locctl) -> None:
    send()
    send(user_id="a2")
    locctl("rollup")
    chosen = locctl(
        "export", "--user", "a1", "--since", "2017-01-01T18:05:00Z", "--format", "ndjson"
    )
    assert chosen.stdout == (
        '{"user_id":"a1","minute":"2017-01-01T18:05:00Z",'
        '"lat":40.7,"long":-74.0,"accuracy":5.0,"speed":1.5,"count":1}\n'
    )
    assert locctl("export", "--until", "2017-01-01T13:05:00-05:00").stdout == HEADER
    assert locctl("export", "--since", "2017-01-02").stdout == HEADER


def test_export_to_a_file_leaves_a_whole_file_and_nothing_else(
    send: Send, locctl: Locctl, tmp_path: Path
) -> None:
    send()
    locctl("rollup")
    output = tmp_path / "minutes.csv"
    output.write_text("old")
    assert locctl("export", "-o", output).returncode == 0
    assert list(tmp_path.iterdir()) == [output]
    assert output.read_text() == A_MINUTE
    assert stat.S_IMODE(output.stat().st_mode) == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_export_takes_the_format_from_the_files_name_and_adds_the_local_time(
    send: Send, locctl: Locctl, tmp_path: Path
) -> None:
    send()
    locctl("rollup")
    output = tmp_path / "minutes.parquet"
    assert locctl("export", "-o", output, "--local-time", "--resolution", "1d").returncode == 0
    (row,) = parquet.read_table(output).to_pylist()
    assert (row["minute"], row["local_time"], row["count"]) == (
        datetime(2017, 1, 1, tzinfo=UTC),
        datetime(2016, 12, 31, 19),
        1,
    )
    assert locctl("export", "-o", output, "--format", "csv").returncode == 0
    assert output.read_text() == A_MINUTE
    rows = locctl("export", "--local-time").stdout.splitlines()
    assert rows == [
        f"{HEADER.strip()},local_time",
        "a1,2017-01-01T18:05:00Z,40.7,-74.0,5.0,1.5,1,2017-01-01T13:05:00",
    ]
    (line,) = locctl("export", "--local-time", "--format", "ndjson").stdout.splitlines()
    assert json.loads(line)["local_time"] == "2017-01-01T13:05:00"


def test_parquet_goes_to_a_pipe_and_not_to_a_terminal(send: Send, environ: dict[str, str]) -> None:
    send()
    subprocess.run([LOCCTL, "rollup"], env=environ, check=True, capture_output=True)
    command = [str(LOCCTL), "export", "--format", "parquet"]
    piped = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True)
    assert parquet.read_table(io.BytesIO(piped.stdout)).num_rows == 1
    main_end, terminal = os.openpty()
    shown = subprocess.run(command, env=environ, stdout=terminal, stderr=subprocess.PIPE, text=True)
    os.close(terminal)
    os.close(main_end)
    assert shown.returncode == 2
    assert shown.stderr.endswith(
        "Error: parquet is not for a terminal; name a file by -o, or pipe it on\n"
    )


def test_a_reader_that_has_enough_of_parquet_ends_the_export_quietly(
    send: Send, environ: dict[str, str]
) -> None:
    send()
    subprocess.run([LOCCTL, "rollup"], env=environ, check=True, capture_output=True)
    reading, writing = os.pipe()
    os.close(reading)
    command = [str(LOCCTL), "export", "--format", "parquet"]
    ended = subprocess.run(command, env=environ, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_export_that_fails_keeps_the_old_file(locctl: Locctl, tmp_path: Path) -> None:
    output = tmp_path / "minutes.csv"
    output.write_text("old")
    away = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"
    failed = locctl("export", "-o", output, MONGODB_URI=away)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == (
        "Error: the database does not answer (127.0.0.1:1: [Errno 111] Connection refused); "
        "see that it runs and that MONGODB_URI names it\n"
    )
    assert [(path, path.read_text()) for path in tmp_path.iterdir()] == [(output, "old")]


def test_an_output_that_cannot_be_written_is_said_in_one_sentence(
    locctl: Locctl, tmp_path: Path
) -> None:
    failed = locctl("export", "-o", tmp_path / "no" / "minutes.csv")
    assert failed.returncode == 1
    assert (
        failed.stderr
        == f"Error: cannot write {tmp_path}/no/minutes.csv: No such file or directory\n"
    )


def test_a_full_disk_is_said_in_one_sentence(send: Send, environ: dict[str, str]) -> None:
    send()
    with Path("/dev/full").open("w") as full:
        failed = subprocess.run(
            [LOCCTL, "export"], env=environ, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (failed.returncode, failed.stderr) == (1, "Error: No space left on device\n")


def test_a_reader_that_has_enough_ends_the_export_quietly(
    db: Database[Document], environ: dict[str, str]
) -> None:
    db.minutes.insert_many(
        {
            "_id": f"a\t{i:09}",
            "user_id": "a",
            "minute": datetime(2017, 1, 1, tzinfo=UTC),
            "lat": 1.0,
            "long": 1.0,
            "accuracy": 1.0,
            "speed": 1.0,
            "count": 1,
        }
        for i in range(20_000)
    )
    export = subprocess.Popen(
        [LOCCTL, "export"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert export.stdout is not None
    assert export.stderr is not None
    assert export.stdout.readline() == HEADER
    export.stdout.close()
    assert export.stderr.read() == ""
    export.stderr.close()
    assert export.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rollup", "--watch", "0"], "Invalid value for '--watch'"),
        (["export", "--since", "yesterday"], "'yesterday' is no time; write 2017-01-01"),
        (["export", "--format", "xls"], "'xls' is not one of"),
        (["export", "-o", "no.xls"], "no.xls does not say its format; end its name in .csv, "),
        (["export", "--resolution", "7m"], "'7m' does not divide a day into minutes; write 5m"),
        (["export", "-o", "no.gpx", "--local-time"], "gpx has no place for --local-time"),
        (["serve", "--host", "0.0.0.0"], "0.0.0.0 is open to other machines"),
        (["serve", "--port", "0"], "Invalid value for '--port'"),
        (["prune"], "Missing option '--older-than'"),
        (["prune", "--older-than", "7"], "'7' is no duration; write 90s, 15m, 36h or 7d"),
        (["prune", "--older-than", "999999d"], "'999999d' is too long; the most is 36500d"),
        (["erase"], "Missing argument 'USER'"),
        (["token", "add", "--user", "a\tb"], "must have no control character"),
        (["nothing"], "No such command"),
    ],
)
def test_a_misuse_exits_2_and_says_what_is_wrong(
    locctl: Locctl, arguments: list[str], said: str
) -> None:
    misused = locctl(*arguments)
    assert (misused.returncode, misused.stdout) == (2, "")
    assert said in misused.stderr


@pytest.mark.parametrize("command", ["serve", "rollup", "export", "verify", "status"])
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LOCAPI_DATBASE", "x", "LOCAPI_DATBASE: no such setting"),
        ("LOCAPI_AUTH", "on", "LOCAPI_AUTH cannot be used: write off or token"),
        ("MONGODB_URI", "mongodb://", "MONGODB_URI cannot be used"),
    ],
)
def test_a_setting_that_cannot_be_used_exits_2(
    locctl: Locctl, command: str, variable: str, value: str, said: str
) -> None:
    misused = locctl(command, **{variable: value})
    assert misused.returncode == 2
    assert said in misused.stderr


@pytest.mark.parametrize(
    "command", ["", *main.locctl.commands, "token add", "token list", "token revoke"]
)
def test_every_help_has_an_example(locctl: Locctl, command: str) -> None:
    helped = locctl(*command.split(), "--help")
    assert helped.returncode == 0
    assert re.search(r"Example:\n +locctl ", helped.stdout)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_watching_rollup_folds_until_it_is_stopped(
    db: Database[Document], send: Send, environ: dict[str, str], number: int, code: int
) -> None:
    send()
    watching: Any = subprocess.Popen(
        [LOCCTL, "rollup", "--watch", "0.05"], env=environ, stderr=subprocess.PIPE, text=True
    )
    with watching:
        for fixes in (1, 2):
            send(f"2017-01-01 13:05:1{fixes}.5")
            wanted = f": {fixes + 1} raw fixes, 1 minutes"
            assert any(json.loads(line)["message"].endswith(wanted) for line in watching.stderr)
        watching.send_signal(number)
        rest = watching.stderr.read()
    assert watching.returncode == code
    assert "Traceback" not in rest
    assert [minute["count"] for minute in db.minutes.find()] == [3]


def test_prune_tells_what_it_deleted_and_what_it_kept_and_why(
    db: Database[Document], send: Send, locctl: Locctl
) -> None:
    send("2017-01-01 13:05:12")
    locctl("rollup")
    send("2017-01-01 13:06:12")
    dry = locctl("prune", "--older-than", "0s", "--dry-run")
    assert dry.stderr.endswith(
        "1 raw fixes would be deleted, 0 kept because they are newer, "
        "1 because they are not in their minute yet\n"
    )
    young = locctl("prune", "--older-than", "36500d")
    assert young.stderr.endswith("0 raw fixes deleted, 2 kept because they are newer\n")
    pruned = locctl("prune", "--older-than", "0s")
    assert (pruned.returncode, pruned.stdout) == (0, "")
    assert pruned.stderr.endswith("2 raw fixes deleted, 0 kept because they are newer\n")
    assert db.fixes.find_one() is None
    assert db.minutes.count_documents({}) == 2


def test_rollup_prunes_along_the_way(db: Database[Document], send: Send, locctl: Locctl) -> None:
    send()
    done = locctl("rollup", "--prune-older-than", "0s")
    assert done.returncode == 0
    assert done.stderr.endswith("1 raw fixes deleted, 0 kept because they are newer\n")
    assert [minute["count"] for minute in db.minutes.find()] == [1]


def test_verify_exits_1_as_long_as_a_minute_is_wrong(
    db: Database[Document], send: Send, locctl: Locctl
) -> None:
    send()
    locctl("rollup")
    checked = locctl("verify")
    assert (checked.returncode, checked.stdout) == (0, "")
    assert checked.stderr == (
        "1 minutes and 1 raw fixes checked: 1 minutes proven by all their fixes, "
        "0 drifted, 0 repaired\n"
    )
    db.minutes.update_one({}, {"$set": {"lat": 1.0}})
    told = "a1\t2017-01-01T18:05\thas lat 1.0; it should be 40.7"
    wrong = locctl("verify")
    assert (wrong.returncode, wrong.stdout) == (1, told + "\n")
    mended = locctl("verify", "--repair")
    assert (mended.returncode, mended.stdout) == (0, told + " (repaired)\n")
    assert locctl("verify").returncode == 0


def test_erase_tells_what_it_removed(db: Database[Document], send: Send, locctl: Locctl) -> None:
    send()
    send(user_id="a2")
    locctl("rollup")
    erased = locctl("erase", "a1")
    assert (erased.returncode, erased.stdout) == (0, "")
    assert erased.stderr == "1 raw fixes and 1 minutes removed\n"
    assert [minute["user_id"] for minute in db.minutes.find()] == ["a2"]


def test_a_password_file_that_is_not_there_is_misuse_told_in_one_sentence(locctl: Locctl) -> None:
    environ = {
        "MONGODB_URI": "mongodb://locapi@127.0.0.1",
        "LOCAPI_MONGODB_PASSWORD_FILE": "/none",
    }
    for command in ("rollup", "serve"):
        done = locctl(command, **environ)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1] == (
            "Error: LOCAPI_MONGODB_PASSWORD_FILE cannot be read (No such file or directory); "
            "see that /none is there, and that this user may read it"
        )


def test_init_tells_what_differs_and_exits_1_only_while_any_is_left(
    db: Database[Document], locctl: Locctl
) -> None:
    db.client.drop_database(db.name)
    checked = locctl("init", "--check")
    assert (checked.returncode, checked.stderr) == (1, "11 differences, 11 left to mend\n")
    made = locctl("init")
    assert (made.returncode, made.stderr) == (0, "11 differences, 0 left to mend\n")
    assert made.stdout.splitlines() == [f"{line} (mended)" for line in checked.stdout.splitlines()]
    assert "fixes\thas no index slice_1_received_at_1 (mended)\n" in made.stdout
    again = locctl("init", "--check")
    assert (again.returncode, again.stdout, again.stderr) == (
        0,
        "",
        "0 differences, 0 left to mend\n",
    )
