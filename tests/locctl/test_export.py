"""`locctl export`: selection, formats, and where the data goes."""

import io
import json
import os
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import parquet
from pymongo.database import Database

from locapi.storage.documents import Document
from tests.conftest import Locctl, Send
from tests.support.minutes import minute
from tests.support.processes import LOCCTL

HEADER = "user_id,minute,lat,long,accuracy,speed,count\n"
A_MINUTE = HEADER + "a1,2017-01-01T18:05:00Z,40.7,-74.0,5.0,1.5,1\n"


@pytest.fixture
def rolled_up(send: Send, locctl: Locctl) -> None:
    send()
    locctl("rollup")


@pytest.mark.usefixtures("rolled_up")
def test_options_select_minutes_columns_and_format(send: Send, locctl: Locctl) -> None:
    everything = locctl("export")
    assert (everything.returncode, everything.stdout, everything.stderr) == (0, A_MINUTE, "")
    assert locctl("export", "--until", "2017-01-01T13:05:00-05:00").stdout == HEADER
    assert locctl("export", "--since", "2017-01-02").stdout == HEADER
    assert locctl("export", "--user", "a2").stdout == HEADER
    send(user_id="a2")
    locctl("rollup")
    window = ["--user", "a1", "--since", "2017-01-01T18:05:00Z"]
    (line,) = locctl("export", *window, "--local-time", "--format", "ndjson").stdout.splitlines()
    assert json.loads(line) == {
        "user_id": "a1",
        "minute": "2017-01-01T18:05:00Z",
        "lat": 40.7,
        "long": -74.0,
        "accuracy": 5.0,
        "speed": 1.5,
        "count": 1,
        "local_time": "2017-01-01T13:05:00",
    }


@pytest.mark.usefixtures("rolled_up")
def test_file_replaces_an_old_one_with_the_usual_permissions(
    locctl: Locctl, tmp_path: Path
) -> None:
    output = tmp_path / "minutes.csv"
    output.write_text("old")
    assert locctl("export", "-o", output).returncode == 0
    assert list(tmp_path.iterdir()) == [output]
    assert output.read_text() == A_MINUTE
    os.umask(mask := os.umask(0))
    assert stat.S_IMODE(output.stat().st_mode) == 0o666 & ~mask


@pytest.mark.usefixtures("rolled_up")
def test_private_file_stays_private_and_a_link_stays_a_link(locctl: Locctl, tmp_path: Path) -> None:
    target, link = tmp_path / "there" / "minutes.csv", tmp_path / "link.csv"
    target.parent.mkdir()
    link.symlink_to(target)
    assert locctl("export", "-o", link).returncode == 0
    target.write_text("old")
    target.chmod(0o600)
    assert locctl("export", "-o", link).returncode == 0
    assert (link.readlink(), target.read_text()) == (target, A_MINUTE)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.usefixtures("rolled_up")
def test_pipe_and_device_are_written_directly(
    locctl: Locctl, environ: dict[str, str], tmp_path: Path
) -> None:
    pipe, null = tmp_path / "pipe", tmp_path / "null"
    os.mkfifo(pipe)
    with subprocess.Popen([LOCCTL, "export", "--format", "csv", "-o", pipe], env=environ) as export:
        assert pipe.read_text() == A_MINUTE
        assert export.wait(30) == 0
    null.symlink_to("/dev/null")
    assert locctl("export", "--format", "csv", "-o", null).returncode == 0
    assert pipe.is_fifo()
    assert null.is_char_device()
    assert locctl("export", "-o", "/dev/stdout", "--format", "csv").stdout == A_MINUTE
    assert sorted(tmp_path.iterdir()) == [null, pipe]


@pytest.mark.usefixtures("rolled_up")
def test_extension_selects_the_format_unless_there_is_an_option(
    locctl: Locctl, tmp_path: Path
) -> None:
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


@pytest.mark.usefixtures("rolled_up")
def test_parquet_goes_to_a_pipe_and_not_to_a_terminal(environ: dict[str, str]) -> None:
    command = [str(LOCCTL), "export", "--format", "parquet"]
    piped = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True)
    assert parquet.read_table(io.BytesIO(piped.stdout)).num_rows == 1
    parent, terminal = os.openpty()
    shown = subprocess.run(command, env=environ, stdout=terminal, stderr=subprocess.PIPE, text=True)
    os.close(terminal)
    os.close(parent)
    assert shown.returncode == 2
    assert "Error: cannot write parquet to a terminal. Use -o FILE, or a pipe.\n" in shown.stderr


@pytest.mark.parametrize("user_id", ["=1+1", "+1", "-1", "@a", "＝1"])  # noqa: RUF001
def test_formulas_are_quoted_on_request(
    db: Database[Document], locctl: Locctl, user_id: str
) -> None:
    db.minutes.insert_many([minute(user_id), minute("a=1")])
    plain = locctl("export").stdout
    assert f"\n{user_id}," in plain
    assert locctl("export", "--quote-formulas").stdout == plain.replace(
        f"\n{user_id},", f"\n'{user_id},"
    )
    refused = locctl("export", "--quote-formulas", "--format", "ndjson")
    assert (refused.returncode, refused.stdout) == (2, "")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_reader_that_closes_the_pipe_ends_the_export_quietly(
    db: Database[Document], environ: dict[str, str], form: str
) -> None:
    db.minutes.insert_many(minute(f"u{n}", minute=datetime(2017, 1, 1)) for n in range(20_000))
    command = [str(LOCCTL), "export", "--format", form]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        assert export.stdout.read(4) in (b"user", b"PAR1")
        export.stdout.close()
        assert export.stderr.read() == b""
        assert export.wait(30) == 0


def test_failed_export_keeps_the_old_file(locctl: Locctl, tmp_path: Path) -> None:
    output = tmp_path / "minutes.csv"
    output.write_text("old")
    away = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"
    failed = locctl("export", "-o", output, MONGODB_URI=away)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith(
        "Error: the database does not answer (127.0.0.1:1: [Errno 111] Connection refused); "
    )
    assert failed.stderr.count("\n") == 1
    assert [(path, path.read_text()) for path in tmp_path.iterdir()] == [(output, "old")]


def test_output_that_cannot_be_written_is_reported(
    send: Send, locctl: Locctl, environ: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "no" / "minutes.csv"
    failed = locctl("export", "-o", output)
    assert (failed.returncode, failed.stderr) == (
        1,
        f"Error: cannot write {output}: No such file or directory\n",
    )
    with Path("/dev/full").open("w") as full:
        failed = subprocess.run(
            [LOCCTL, "export"], env=environ, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (failed.returncode, failed.stderr) == (1, "Error: No space left on device\n")


@pytest.mark.usefixtures("rolled_up")
def test_token_continues_where_the_last_export_ended(send: Send, locctl: Locctl) -> None:
    first = locctl("export", "--changed-since", "start", "--format", "ndjson")
    assert json.loads(first.stdout)["count"] == 1
    token = first.stderr.split()[-1]
    send("2017-01-01 13:06:00")
    locctl("rollup")
    second = locctl("export", "--changed-since", token)
    assert second.stdout.splitlines()[1:] == ["a1,2017-01-01T18:06:00Z,40.7,-74.0,5.0,1.5,1,false"]
    locctl("erase", "a1")
    third = locctl("export", "--changed-since", second.stderr.split()[-1], "--local-time")
    assert third.stdout.splitlines()[1:] == ["a1,,,,,,,,true"]


@pytest.mark.usefixtures("rolled_up")
def test_token_file_is_replaced_only_when_the_output_is_complete(
    locctl: Locctl, tmp_path: Path
) -> None:
    file, output = tmp_path / "changes.token", tmp_path / "changes.csv"
    assert locctl("export", "--token-file", file, "-o", output).returncode == 0
    assert len(output.read_text().splitlines()) == 2
    token = file.read_text()
    failed = locctl("export", "--token-file", file, "-o", tmp_path / "missing" / "a.csv")
    assert (failed.returncode, file.read_text()) == (1, token)
    done = locctl("export", "--token-file", file, "-o", output)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(output.read_text().splitlines()) == 1
    file.write_text("12:05")
    assert "does not hold a token" in locctl("export", "--token-file", file).stderr


@pytest.mark.usefixtures("rolled_up")
def test_dataset_follows_what_changes(send: Send, locctl: Locctl, tmp_path: Path) -> None:
    directory, file = tmp_path / "minutes", tmp_path / "minutes.token"
    for count in (1, 2):
        done = locctl("export", "--dataset", directory, "--token-file", file)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        table = parquet.read_table(directory)
        assert table.num_rows == count
        send("2017-01-02 13:06:00")
        locctl("rollup")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "d", "--user", "a1"], "cannot be combined with --user"),
        (["--dataset", "d", "-o", "a.csv"], "cannot be combined with --output"),
        (["--changed-since", "start", "--format", "gpx"], "Use csv, ndjson, parquet"),
        (
            ["--changed-since", "start", "--resolution", "1h"],
            "--resolution cannot be combined with a token",
        ),
        (
            ["--changed-since", "start", "--token-file", "t"],
            "--changed-since cannot be combined with --token-file",
        ),
        (["--changed-since", "yesterday"], "not a token"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    locctl: Locctl, options: list[str], message: str
) -> None:
    refused = locctl("export", *options)
    assert refused.returncode == 2
    assert message in refused.stderr
