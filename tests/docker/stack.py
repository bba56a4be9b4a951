"""The containers, driven as an operator drives them."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.conftest import ROOT, a_fix, free_port

HEADER = "user_id,minute,lat,long,accuracy,speed,count\n"
SERVICES = ("api", "mongo", "rollup")
PROJECT = "locapi-test"
PORT = free_port()
ENVIRON = {
    **os.environ,
    "API_PORT": str(PORT),
    "API_HOST": f"http://127.0.0.1:{PORT}",
    "LOCAPI_AUTH": "off",
}


def run(*command: str, **changed: str) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**ENVIRON, **changed},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    return done.stdout


def compose_command(*arguments: str, project: str = PROJECT) -> list[str]:
    return ["docker", "compose", "-f", "docker-compose.yml", "-p", project, *arguments]


def compose(*arguments: str, project: str = PROJECT, **changed: str) -> str:
    return run(*compose_command(*arguments, project=project), **changed)


def up(**changed: str) -> None:
    compose("up", "--detach", **changed)
    wait_until(is_healthy)


def container(service: str) -> str:
    return compose("ps", "--all", "--quiet", service).strip()


def inspect(service: str, field: str) -> Any:
    return json.loads(
        run("docker", "inspect", "--format", f"{{{{json {field}}}}}", container(service))
    )


def inside(service: str, *command: str) -> str:
    return compose("exec", "-T", service, *command)


def locctl(*arguments: str) -> str:
    return inside("rollup", "locctl", *arguments)


def ask(
    method: str, path: str, body: Any = None, token: str | None = None
) -> tuple[int, dict[str, Any]]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with closing(HTTPConnection("127.0.0.1", PORT, timeout=30)) as connection:
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.load(answer)


def put(token: str | None = None, **fields: Any) -> tuple[int, str]:
    status, body = ask("PUT", "/location", a_fix(**fields), token)
    return status, body["status"] if status == 200 else body["error"]["code"]


def is_healthy() -> bool:
    try:
        return ask("GET", "/health") == (200, {"status": "ok"})
    except (OSError, HTTPException):  # nothing listens yet
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, compose("logs", "--tail", "50")
        time.sleep(0.2)
