"""The real Dockerfile and docker-compose.yml: a fix goes in, its minute comes out and stays."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any

import pytest

from tests.conftest import ROOT, a_fix, free_port

HEADER = "user_id,minute,lat,long,accuracy,speed,count\n"


PORT = free_port()
ENVIRON = {**os.environ, "API_PORT": str(PORT), "API_HOST": f"http://127.0.0.1:{PORT}"}

pytestmark = pytest.mark.usefixtures("stack")


@pytest.fixture(scope="module")
def stack() -> Iterator[None]:
    compose("down", "--volumes")  # what a killed run left
    try:
        compose("up", "--detach")
        wait_until(is_healthy)
        yield
    finally:
        compose("down", "--volumes")


def compose(*arguments: str) -> str:
    return run("docker", "compose", "-f", "docker-compose.yml", "-p", "locapi-test", *arguments)


def run(*command: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRON, stdout=subprocess.PIPE, text=True, check=True, timeout=600
    )
    return done.stdout


def inspect(service: str, field: str) -> str:
    container = compose("ps", "--all", "--quiet", service).strip()
    return run("docker", "inspect", "--format", f"{{{{{field}}}}}", container).strip()


def locctl(*arguments: str) -> str:
    return compose("exec", "-T", "rollup", "locctl", *arguments)


def ask(method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    with closing(HTTPConnection("127.0.0.1", PORT, timeout=30)) as connection:
        connection.request(method, path, json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.load(answer)


def put(**fields: Any) -> tuple[int, str]:
    status, body = ask("PUT", "/location", a_fix(**fields))
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


def test_fixes_go_in_and_their_minute_comes_out() -> None:
    answers = [
        put(user_id="in", lat=40.5),
        put(user_id="in", lat=12.0),
        put(user_id="in", lat=41.0, timestamp="2017-01-01 13:05:59.999"),
        put(user_id="in", lat="40.5", timestamp="2017-01-01 13:05:30"),
    ]

    locctl("rollup")

    assert answers == [(200, "stored"), (200, "duplicate"), (200, "stored"), (400, "invalid_fix")]
    assert locctl("export", "--user", "in") == (
        HEADER + "in,2017-01-01T18:05:00Z,40.75,-74.0,5.0,1.5,2\n"
    )


def test_the_rollup_service_folds_by_itself() -> None:
    assert put(user_id="watched") == (200, "stored")

    compose("restart", "rollup")  # not to wait for its next minute

    expected = HEADER + "watched,2017-01-01T18:05:00Z,40.7,-74.0,5.0,1.5,1\n"
    wait_until(lambda: locctl("export", "--user", "watched") == expected)


def test_the_simulator_runs_against_it() -> None:
    table = run(sys.executable, "simulation/simulate.py", "simulation/data/spring_new_york.ndjson")

    assert "code 200" in table


def test_only_the_api_is_published_and_only_on_this_host() -> None:
    bindings = {name: inspect(name, "json .HostConfig.PortBindings") for name in services()}

    assert {name: json.loads(text) for name, text in bindings.items()} == {
        "api": {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(PORT)}]},
        "mongo": {},
        "rollup": {},
    }


def test_no_container_runs_as_root() -> None:
    users = {name: compose("exec", "-T", name, "id", "-u").strip() for name in services()}

    assert users == {"api": "10001", "mongo": "999", "rollup": "10001"}


def services() -> list[str]:
    return compose("config", "--services").split()


def test_mongo_ends_and_comes_back_by_itself_with_its_data() -> None:
    assert put(user_id="restart") == (200, "stored")
    locctl("rollup")
    before = locctl("export", "--user", "restart")

    compose("exec", "-T", "mongo", "bash", "-c", "kill 1")
    wait_until(lambda: inspect("mongo", ".RestartCount") == "1")
    wait_until(is_healthy)

    assert put(user_id="restart", lat=12.0) == (200, "duplicate")
    assert locctl("export", "--user", "restart") == before


def test_the_stack_goes_down_and_up_again_with_its_data() -> None:
    assert put(user_id="down") == (200, "stored")
    locctl("rollup")
    before = locctl("export")

    compose("down")
    compose("up", "--detach")
    wait_until(is_healthy)

    assert put(user_id="down", lat=12.0) == (200, "duplicate")
    assert locctl("export") == before
    assert "down,2017-01-01T18:05:00Z,40.7,-74.0,5.0,1.5,1\n" in before
