"""A mongod of a test's own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pymongo import MongoClient

from locapi.storage.embedded import find_mongod

Client = MongoClient[dict[str, Any]]


@contextmanager
def running(home: Path, *options: str) -> Iterator[str]:
    """Run a mongod with these options; yield the host for its URI."""
    (home / "db").mkdir(parents=True, exist_ok=True)
    command = [
        str(find_mongod()),
        f"--dbpath={home / 'db'}",
        f"--bind_ip={home / 's.sock'}",
        "--nounixsocket",
        "--wiredTigerCacheSizeGB=0.25",
        "--setParameter=diagnosticDataCollectionEnabled=false",
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        host = quote(str(home / "s.sock"), safe="")
        try:
            with Client(f"mongodb://{host}/?directConnection=true") as client:
                client.admin.command("hello")
            yield host
        finally:
            process.terminate()


@contextmanager
def running_with_root(home: Path, password: str) -> Iterator[tuple[str, Client]]:
    """Run a mongod that asks for passwords; yield its host, and a client of the user `root`."""
    with running(home, "--auth") as host:
        with Client(f"mongodb://{host}/?directConnection=true") as client:
            client.admin.command("createUser", "root", pwd=password, roles=["root"])
        with Client(f"mongodb://root:{password}@{host}/?directConnection=true") as client:
            yield host, client
