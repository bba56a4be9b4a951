"""The simulator against a stand-in for the API."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
from click.testing import CliRunner, Result

from simulation import replay
from simulation import simulate as simulate_module
from simulation.simulate import main
from tests.stand_in import STORED, Reply, StandIn

CHECKOUT = Path(__file__).resolve().parents[1]
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
    monkeypatch.setattr(replay, "KNOCK", replay.KNOCK.new(backoff_factor=0))


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


def test_a_retried_fix_is_not_overtaken_by_the_users_next(api: StandIn, tmp_path: Path) -> None:
    api.answer = once(BROKEN, STORED)
    simulate(api.address, track(tmp_path, users=1, fixes=4))
    assert [json.loads(body)["lat"] for body in api.bodies] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_connections_are_kept_alive(api: StandIn, tmp_path: Path) -> None:
    simulate(api.address, track(tmp_path, users=12, fixes=20), "--connections", 3)
    assert len(api.bodies) == 240
    assert len(api.ports) <= 3


def test_users_share_lanes_when_there_are_more_users_than_connections(
    api: StandIn, tmp_path: Path
) -> None:
    result = simulate(api.address, track(tmp_path, users=50, fixes=3), "--connections", 4)
    assert cells(result)["fixes sent"] == "150"


def test_a_track_longer_than_the_queues_is_sent_whole(
    api: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "AHEAD", 2)
    simulate(api.address, track(tmp_path, users=2, fixes=100))
    assert len(api.bodies) == 200


@pytest.mark.parametrize("first", [BROKEN, (503, {}), None])
def test_a_failure_is_retried_and_its_fix_counted_once(
    api: StandIn, tmp_path: Path, first: Reply | None
) -> None:
    api.answer = once(first, STORED)
    result = simulate(api.address, track(tmp_path, users=1, fixes=5))
    table = cells(result)
    assert result.exit_code == 0
    assert (table["fixes sent"], table["code 200"], table["retries"]) == ("5", "5", "5")
    assert len(api.bodies) == 10


def test_retry_after_is_honoured(api: StandIn, tmp_path: Path) -> None:
    came: list[float] = []
    reply = once(BROKEN, STORED)

    def answer(body: bytes) -> Reply | None:
        came.append(monotonic())
        return reply(body)

    api.answer = answer
    api.headers = {"Retry-After": "1"}
    assert simulate(api.address, track(tmp_path, users=1, fixes=1)).exit_code == 0
    first, again = came
    assert again - first >= 1


def test_a_refused_fix_is_reported_and_never_sent_again(api: StandIn, tmp_path: Path) -> None:
    api.answer = lambda body: INVALID if b'"lat": 1}' in body else STORED
    path = track(tmp_path, users=1, fixes=3)
    result = simulate(api.address, path)
    table = cells(result)
    assert result.exit_code == 0
    assert (table["code 200"], table["code 400"], table["lat: no"]) == ("2", "1", "1")
    assert f"{path}:2: 400, lat: no\n" in result.stderr
    assert len(api.bodies) == 3


def test_only_the_first_refused_fixes_are_shown_and_all_are_counted(
    api: StandIn, tmp_path: Path
) -> None:
    api.answer = lambda body: INVALID
    result = simulate(api.address, track(tmp_path, users=1, fixes=30))
    assert result.stderr.count(": 400, lat: no") == 5
    assert cells(result)["code 400"] == "30"


def test_a_code_that_is_neither_200_nor_400_ends_in_exit_1(api: StandIn, tmp_path: Path) -> None:
    api.answer = lambda body: (404, {"error": {"message": "gone"}}) if b"1" in body else STORED
    result = simulate(api.address, track(tmp_path, users=1, fixes=3))
    assert result.exit_code == 1
    assert (cells(result)["code 404"], cells(result)["gone"]) == ("1", "1")


def test_a_redirect_is_not_followed(api: StandIn, tmp_path: Path) -> None:
    api.answer, api.headers = lambda body: (303, {}), {"Location": "/elsewhere"}
    result = simulate(api.address, track(tmp_path, users=1, fixes=1))
    assert (result.exit_code, cells(result)["code 303"]) == (1, "1")


@pytest.mark.parametrize("reply", [BROKEN, None])
def test_an_api_that_fails_for_good_is_given_up_after_a_few_fixes(
    api: StandIn, tmp_path: Path, reply: Reply | None
) -> None:
    api.answer = lambda body: reply
    result = simulate(api.address, track(tmp_path, users=1, fixes=50))
    assert result.exit_code == 1
    assert "Given up after 5 failures in a row" in result.stderr
    assert cells(result)["fixes sent"] == "5"


def test_an_answer_that_is_no_json_of_ours_is_counted(api: StandIn, tmp_path: Path) -> None:
    api.answer = lambda body: (200, ["what"])
    result = simulate(api.address, track(tmp_path, users=1, fixes=2))
    assert cells(result)["(unreadable answer)"] == "2"


def test_the_table_is_aligned_and_complete(api: StandIn, tmp_path: Path) -> None:
    result = simulate(api.address, track(tmp_path, users=2, fixes=3))
    lines = result.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines if not line.startswith(" ")] == [
        "fixes sent",
        "seconds",
        "fixes per second",
        "retries",
        "code 200",
        "latency p50, ms",
        "latency p90, ms",
        "latency p99, ms",
        "latency max, ms",
    ]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("missing.csv", None, "No such file or directory; give a file that can be read."),
        ("track.txt", b"", "cannot tell its format; give a .csv, .ndjson or .jsonl file"),
        ("track.csv", b"40.7,-74.0\n", "its first line must name the columns timestamp, lat"),
        ("track.csv.gz", b"no gzip", "give a file that can be read."),
        ("track.ndjson.gz", gzip.compress(b"{}\n" * 999, mtime=0)[:20], "give a whole file."),
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


def test_an_api_that_is_not_there_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    result = simulate(address)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: no API answers at {address}; start one with `locctl serve`, or set API_HOST.\n"
    )


def test_an_api_under_a_path_is_reached(api: StandIn, tmp_path: Path) -> None:
    result = simulate(api.address + "/v1/", track(tmp_path, users=1, fixes=1))
    assert cells(result)["stored"] == "1"


@pytest.mark.parametrize("how", [[str(CHECKOUT / "simulation/simulate.py")], ["-m", "simulation"]])
def test_it_runs_as_a_script_from_anywhere_and_as_a_module(
    api: StandIn, tmp_path: Path, how: list[str]
) -> None:
    directory = tmp_path
    if how[0] == "-m":
        how, directory = ["-m", "simulation.simulate"], CHECKOUT
    done = subprocess.run(
        [sys.executable, *how, str(track(tmp_path, users=2, fixes=2))],
        env={**os.environ, "API_HOST": api.address},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "Replaying 4 fixes\n")
    assert "fixes sent" in done.stdout


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
    command = [sys.executable, str(CHECKOUT / "simulation/simulate.py")]
    with subprocess.Popen(
        [*command, str(track(tmp_path, users=1, fixes=9))],
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
    assert simulate_module.DATA == CHECKOUT / "simulation" / "data"
    monkeypatch.setattr(simulate_module, "DATA", tmp_path)
    for name in ("b.csv", "c.csv", "a.csv"):
        (tmp_path / name).write_text(f"user_id,lat\nu,{name}\n")
    assert simulate(api.address).exit_code == 0
    assert [json.loads(body)["lat"] for body in api.bodies] == ["a.csv", "b.csv", "c.csv"]
