"""The simulator against a stand-in for the API."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from simulation import replay
from simulation import simulate as simulate_module
from simulation.simulate import main
from tests.conftest import ROOT
from tests.support.stand_in import STORED, Reply, StandIn

SCRIPT = str(ROOT / "simulation" / "simulate.py")
INVALID = (400, {"error": {"code": "invalid_fix", "message": "bad", "fields": {"lat": ["no"]}}})
BROKEN = (500, {"error": {"code": "internal", "message": "try again"}})


@pytest.fixture
def api() -> Iterator[StandIn]:
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "RETRY", replay.RETRY.new(total=3, backoff_factor=0))
    monkeypatch.setattr(replay, "STARTUP_RETRY", replay.STARTUP_RETRY.new(backoff_factor=0))


def simulate(address: str, *args: object) -> Result:
    return CliRunner(env={"API_HOST": address}).invoke(main, [str(arg) for arg in args])


def track(directory: Path, users: int, fixes: int) -> Path:
    path = directory / "track.ndjson"
    rows = [{"user_id": f"u{u}", "lat": n} for n in range(fixes) for u in range(users)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def cells(result: Result) -> dict[str, str]:
    """The table as label -> value."""
    pairs = (line.rsplit("  ", 1) for line in result.stdout.splitlines())
    return {label.strip(): value.strip() for label, value in pairs}


def once(first: Reply | None, then: Reply) -> Callable[[bytes], Reply | None]:
    """Answer the first try of each body in one way, the later ones in another."""
    tries: Counter[bytes] = Counter()

    def answer(body: bytes) -> Reply | None:
        tries[body] += 1
        return first if tries[body] == 1 else then

    return answer


def test_a_users_next_fix_waits_for_the_answer_while_users_overlap(
    api: StandIn, tmp_path: Path
) -> None:
    in_flight: Counter[str] = Counter()
    all_users_at_once = threading.Barrier(4, timeout=30)
    order: defaultdict[str, list[int]] = defaultdict(list)

    def answer(body: bytes) -> Reply:
        fix = json.loads(body)
        in_flight[fix["user_id"]] += 1
        order[fix["user_id"]].append(fix["lat"])
        all_users_at_once.wait()
        alone = in_flight[fix["user_id"]] == 1
        in_flight[fix["user_id"]] -= 1
        return STORED if alone else INVALID

    api.answer = answer
    result = simulate(api.address, track(tmp_path, users=4, fixes=25))
    assert result.exit_code == 0
    assert order == {f"u{user}": list(range(25)) for user in range(4)}
    assert cells(result)["stored"] == "100"


def test_many_users_share_few_connections_which_are_kept_alive(
    api: StandIn, tmp_path: Path
) -> None:
    result = simulate(api.address, track(tmp_path, users=50, fixes=4), "--connections", 3)
    assert (cells(result)["fixes sent"], len(api.bodies)) == ("200", 200)
    assert len(api.ports) <= 3


def test_a_track_longer_than_the_queues_is_sent_whole(
    api: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MAX_QUEUED", 2)
    simulate(api.address, track(tmp_path, users=2, fixes=100))
    assert len(api.bodies) == 200


@pytest.mark.parametrize("first", [BROKEN, (503, {}), None])
def test_a_failure_is_retried_before_the_users_next_fix_and_its_fix_counted_once(
    api: StandIn, tmp_path: Path, first: Reply | None
) -> None:
    api.answer = once(first, STORED)
    result = simulate(api.address, track(tmp_path, users=1, fixes=4))
    table = cells(result)
    assert result.exit_code == 0
    assert (table["fixes sent"], table["code 200"], table["retries"]) == ("4", "4", "4")
    assert [json.loads(body)["lat"] for body in api.bodies] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_refused_fixes_are_counted_never_sent_again_and_the_first_few_shown(
    api: StandIn, tmp_path: Path
) -> None:
    api.answer = lambda body: STORED if b'"lat": 0}' in body else INVALID
    path = track(tmp_path, users=1, fixes=30)
    result = simulate(api.address, path)
    table = cells(result)
    assert result.exit_code == 0
    assert (table["code 200"], table["code 400"], table["lat: no"]) == ("1", "29", "29")
    assert f"{path}:2: 400, lat: no\n" in result.stderr
    assert result.stderr.count(": 400, lat: no") == 5
    assert len(api.bodies) == 30


@pytest.mark.parametrize("code", [303, 404])
def test_a_code_that_is_neither_200_nor_400_fails_and_no_redirect_is_followed(
    api: StandIn, tmp_path: Path, code: int
) -> None:
    api.answer = lambda body: (code, {"error": {"message": "gone"}}) if b"1" in body else STORED
    api.headers = {"Location": "/elsewhere"}
    result = simulate(api.address, track(tmp_path, users=1, fixes=3))
    assert result.exit_code == 1
    assert (cells(result)[f"code {code}"], cells(result)["gone"]) == ("1", "1")


@pytest.mark.parametrize("reply", [BROKEN, None])
def test_an_api_that_fails_for_good_is_given_up_after_a_few_fixes(
    api: StandIn, tmp_path: Path, reply: Reply | None
) -> None:
    api.answer = lambda body: reply
    result = simulate(api.address, track(tmp_path, users=1, fixes=50))
    assert result.exit_code == 1
    assert "Given up after 5 failures in a row" in result.stderr
    assert cells(result)["fixes sent"] == "5"


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        (
            "missing.csv",
            None,
            "No such file or directory; check its path, permissions and compression.",
        ),
        ("track.txt", b"", "unknown extension; give a .csv, .ndjson or .jsonl file"),
        ("track.csv", b"40.7,-74.0\n", "its first line must name the columns timestamp, lat"),
        ("track.csv.gz", b"no gzip", "check its path, permissions and compression."),
        (
            "track.ndjson.gz",
            gzip.compress(b"{}\n" * 999, mtime=0)[:20],
            "copy or download it again.",
        ),
    ],
)
def test_a_file_that_is_no_track_is_misuse_and_nothing_is_sent(
    api: StandIn, tmp_path: Path, name: str, content: bytes | None, advice: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = simulate(api.address, track(tmp_path, users=1, fixes=1), path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {path}: ")
    assert advice in result.stderr
    assert result.stderr.count("\n") == 1
    assert api.bodies == []


@pytest.mark.parametrize("address", ["localhost:5000", "http://", "ftp://x", "http://x:99999"])
def test_an_unreadable_address_is_misuse(address: str) -> None:
    result = simulate(address)
    assert result.exit_code == 2
    advice = "write it like API_HOST=http://localhost:5000."
    assert result.stderr == f"Error: API_HOST is {address!r}; {advice}\n"


def test_an_api_that_does_not_answer_is_named_with_advice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    result = simulate(address)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: no API answers at {address}; start one with `locctl serve`, or set API_HOST.\n"
    )


@pytest.mark.parametrize("how", [[SCRIPT], ["-m", "simulation.simulate"]])
def test_simulator_runs_as_a_script_from_anywhere_and_as_a_module(
    api: StandIn, tmp_path: Path, how: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, *how, str(track(tmp_path, users=2, fixes=2))],
        env={**os.environ, "API_HOST": f"{api.address}/v1/"},
        cwd=tmp_path if how == [SCRIPT] else ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "Replaying 4 fixes\n")
    assert re.search(r"stored +4\n", done.stdout)


def test_control_c_stops_promptly_with_the_table_and_no_traceback(
    api: StandIn, tmp_path: Path
) -> None:
    stuck, let_go = threading.Event(), threading.Event()

    def answer(body: bytes) -> Reply:
        if json.loads(body)["lat"] == 3:
            stuck.set()
            let_go.wait(60)
        return STORED

    api.answer = answer
    with subprocess.Popen(
        [sys.executable, SCRIPT, str(track(tmp_path, users=1, fixes=9))],
        env={**os.environ, "API_HOST": api.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert stuck.wait(60)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    let_go.set()
    assert process.returncode == 130
    assert stdout.startswith("fixes sent")
    assert stderr == "Replaying 9 fixes\n"


def test_without_files_the_sample_tracks_are_sent_sorted_by_name(
    api: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert simulate_module.DATA == ROOT / "simulation" / "data"
    monkeypatch.setattr(simulate_module, "DATA", tmp_path)
    for name in ("b.csv", "c.csv", "a.csv"):
        (tmp_path / name).write_text(f"user_id,lat\nu,{name}\n")
    assert simulate(api.address).exit_code == 0
    assert [json.loads(body)["lat"] for body in api.bodies] == ["a.csv", "b.csv", "c.csv"]
