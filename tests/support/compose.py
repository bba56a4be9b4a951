"""A Compose project in a fresh copy of the checkout, used as an operator uses it."""

import csv
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, a_fix, free_port
from tests.faults.load import Load
from tests.support.reference import Minute, Reference

DEADLINE_S = 120
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".cache", "build", "secrets", "__pycache__")


class Stack:
    def __init__(self, name: str, directory: Path, *files: str) -> None:
        self.name = name
        self.directory = directory / "checkout"
        shutil.copytree(ROOT, self.directory, ignore=NOT_COPIED)
        self.port = free_port()
        self.environ = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": name,
            "COMPOSE_FILE": ":".join(files or ["docker-compose.yml"]),
            "API_PORT": str(self.port),
            "API_HOST": f"http://127.0.0.1:{self.port}",
            "LOCAPI_AUTH": "off",
        }
        self.compose("down", "--volumes")  # what a run left that was killed

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            command, cwd=self.directory, env=self.environ, text=True, start_new_session=True
        )

    def run(self, *command: str, check: bool = True, **changed: str) -> str:
        """Run a command; return what it printed, with its errors unless they must fail the test."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env={**self.environ, **changed},
            stdout=subprocess.PIPE,
            stderr=None if check else subprocess.STDOUT,
            text=True,
            check=check,
            timeout=5 * DEADLINE_S,
        )
        return done.stdout

    def compose(self, *arguments: str, check: bool = True, **changed: str) -> str:
        return self.run("docker", "compose", *arguments, check=check, **changed)

    def up(self, *options: str, **changed: str) -> None:
        self.compose("up", "--detach", "--wait", *options, check=True, **changed)

    def down(self) -> None:
        self.compose("down", "--volumes", "--timeout", "1")

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).strip()

    def inspect(self, service: str, field: str) -> Any:
        form = f"{{{{json {field}}}}}"
        return json.loads(self.run("docker", "inspect", "-f", form, self.container(service)))

    def inside(self, service: str, *command: str, check: bool = True) -> str:
        return self.compose("exec", "-T", service, *command, check=check)

    def mongosh(self, script: str, service: str = "mongo") -> str:
        """Run a script beside a mongod; return what it printed, errors too."""
        command = ("env", "HOME=/tmp", "mongosh", "--quiet", "--norc", "--eval", script)
        return self.inside(service, *command, check=False)

    def locctl(self, *arguments: str, service: str = "rollup") -> str:
        return self.inside(service, "locctl", *arguments)

    def minutes(self, *arguments: str, service: str = "rollup") -> dict[Minute, dict[str, float]]:
        """Export minutes, as the reference has them."""
        exported = self.locctl("export", *arguments, service=service).splitlines()
        return {
            (row.pop("user_id"), datetime.fromisoformat(row.pop("minute"))): {
                name: float(value) for name, value in row.items()
            }
            for row in csv.DictReader(exported)
        }

    def put(self, token: str | None = None, **fields: Any) -> tuple[int, str]:
        """Send a fix; return the code, and the status or the error's code."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("PUT", "/location", json.dumps(a_fix(**fields)), headers)
            answer = connection.getresponse()
            body = json.load(answer)
        finally:
            connection.close()
        return answer.status, body["status"] if answer.status == 200 else body["error"]["code"]

    def until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < deadline, f"{what}\n{self.compose('logs', '--tail', '50')}"
            time.sleep(0.1)


def sent(load: Load) -> dict[Minute, dict[str, float]]:
    """Return the minutes that a load must have made; each of its fixes was answered 200."""
    reference = Reference()
    for entry in load.entries():
        assert entry.answered, entry
        reference.put(entry.ask.sent)
    return reference.minutes()
