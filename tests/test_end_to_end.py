"""The whole way by real processes: server, simulator and command line on the embedded database."""

import csv
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, a_fix, free_port

LOCCTL = Path(sys.executable).with_name("locctl")
SIMULATE = ROOT / "simulation" / "simulate.py"
DEADLINE_S = 60


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "MONGODB_URI"}
    return {**kept, "LOCAPI_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def url(environ: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """Run `locctl serve` and see that it ends well and leaves nothing running."""
    port = free_port()
    log = tmp_path / "serve.log"
    with log.open("w") as out:
        serve = subprocess.Popen(
            [LOCCTL, "serve", "--port", str(port), "--workers", "2"],
            env=environ,
            stdout=out,
            stderr=out,
        )
    try:
        wait_for_health(f"http://127.0.0.1:{port}", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.terminate()
        code = serve.wait(DEADLINE_S)
    assert code == 0, log.read_text()
    assert "Traceback" not in log.read_text()
    assert processes_that_name(tmp_path) == []


def wait_for_health(url: str, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            if ask(url, "GET", "/health") == (200, {"status": "ok"}):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the API did not start: {log.read_text()}")


def ask(url: str, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(url + path, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def put_chunked(url: str, chunks: list[bytes]) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("PUT", "/location", body=iter(chunks), encode_chunked=True)
    with closing(connection), connection.getresponse() as answer:
        return answer.status, json.load(answer)


def processes_that_name(directory: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(directory) in line]


def run(environ: dict[str, str], *command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)


def test_a_sample_track_goes_in_by_http_and_comes_out_as_minutes(
    url: str, environ: dict[str, str], tmp_path: Path
) -> None:
    sample = ROOT / "simulation" / "data" / "dirt.ndjson"
    rows = len(sample.read_text(errors="replace").splitlines())

    replayed = run({**environ, "API_HOST": url}, sys.executable, SIMULATE, sample)
    assert replayed.returncode == 0, replayed.stderr
    counts = {
        name: int(count.replace(",", ""))
        for name, count in re.findall(
            r"^ *(\w[\w ]*?) {2,}([\d,]+)$", replayed.stdout, re.MULTILINE
        )
    }
    assert counts["fixes sent"] == rows == counts["code 200"] + counts["code 400"]
    assert counts["code 400"] == 75
    assert counts["stored"] + counts.get("duplicate", 0) == counts["code 200"]

    assert run(environ, LOCCTL, "rollup").returncode == 0
    output = tmp_path / "minutes.csv"
    assert run(environ, LOCCTL, "export", "-o", output).returncode == 0
    with output.open(newline="") as lines:
        minutes = list(csv.DictReader(lines))
    assert sum(int(minute["count"]) for minute in minutes) == counts["stored"]
    order = [(minute["user_id"], minute["minute"]) for minute in minutes]
    assert order == sorted(set(order))

    again = run({**environ, "API_HOST": url}, sys.executable, SIMULATE, sample)
    assert re.search(rf"duplicate +{counts['code 200']}\n", again.stdout)
    run(environ, LOCCTL, "rollup")
    assert run(environ, LOCCTL, "export").stdout == output.read_text()


def test_the_server_answers_as_the_contract_says(url: str) -> None:
    body = json.dumps(a_fix()).encode()
    stored = {"status": "stored", "fix_time": "2017-01-01T18:05:12Z", "tz": "America/New_York"}
    assert ask(url, "PUT", "/location", body) == (200, stored)
    assert ask(url, "PUT", "/location", body) == (200, {**stored, "status": "duplicate"})
    for bad in (b"", b"\xff", b"[" * 4000, b" " * 9000, b"x" * 1_000_000, body[:-1], b"null"):
        code, answer = ask(url, "PUT", "/location", bad)
        assert (code, answer["error"]["code"]) == (400, "invalid_fix")
    assert put_chunked(url, [body[:9], body[9:]]) == (200, {**stored, "status": "duplicate"})
    assert put_chunked(url, [b" " * 1000] * 100)[0] == 400
    assert ask(url, "POST", "/location", body)[0] == 405
    assert ask(url, "PUT", "/locations", body)[0] == 404


def test_data_is_there_after_the_server_was_stopped(
    environ: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("url")
    ask(url, "PUT", "/location", json.dumps(a_fix()).encode())
    assert run(environ, LOCCTL, "rollup").returncode == 0
    # The server's end is the fixture's; this is what any later process sees beside it.
    assert run(environ, LOCCTL, "export").stdout.splitlines()[1:] == [
        "a1,2017-01-01T18:05:00Z,40.7,-74.0,5.0,1.5,1"
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demonstration_stops_all_it_started_when_it_is_stopped(
    tmp_path_factory: pytest.TempPathFactory, number: int
) -> None:
    scratch = tmp_path_factory.mktemp("d")  # short: a socket's path may not be long
    environ = {**os.environ, "TMPDIR": str(scratch)}
    demo = subprocess.Popen(
        [sys.executable, ROOT / "simulation" / "demo.py"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with demo:
        assert demo.stderr is not None
        first = demo.stderr.readline()
        os.killpg(demo.pid, number)
        rest = demo.stderr.read()
    assert first.startswith("Replaying")
    assert "Traceback" not in rest
    assert demo.returncode == 128 + number
    assert processes_that_name(scratch) == []
    assert list(scratch.glob("*/database")) == []
