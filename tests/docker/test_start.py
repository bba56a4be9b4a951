"""`docker compose up` is all it takes, at the first start and at every other."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.conftest import SERVICES
from tests.support.compose import Stack
from tests.support.pages import run_marked

READ_SECRETS = ("sh", "-c", "cd /run/secrets && grep . mongodb_*")
UP = ("docker", "compose", "up", "--detach", "--wait")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Stack]:
    """Provide a stack that was never started."""
    stack = Stack("locapi-test-start", tmp_path)
    try:
        yield stack
    finally:
        stack.down()


def secrets(stack: Stack) -> str:
    return stack.inside("mongo", *READ_SECRETS)


def test_second_up_changes_and_restarts_nothing(stack: Stack) -> None:
    before = secrets(stack)
    started = [stack.inspect(service, ".State.StartedAt") for service in SERVICES]
    stack.up()
    assert secrets(stack) == before
    assert [stack.inspect(service, ".State.StartedAt") for service in SERVICES] == started


def test_data_and_secrets_outlast_down_and_up(stack: Stack) -> None:
    assert stack.put(user_id="down") == (200, "stored")
    stack.locctl("rollup")
    before = stack.minutes(), secrets(stack)
    stack.compose("down")
    stack.up()
    assert stack.put(user_id="down", lat=12.0) == (200, "duplicate")
    assert (stack.minutes(), secrets(stack)) == before


def test_interrupted_first_start_is_completed_by_the_next(fresh: Stack) -> None:
    first = fresh.start(*UP)
    try:
        fresh.until(lambda: bool(fresh.container("mongo")), "mongo is created")
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    fresh.compose("kill", check=False)
    fresh.up()
    assert fresh.put() == (200, "stored")


def test_stack_without_its_volumes_starts_anew(fresh: Stack) -> None:
    fresh.up()
    before = secrets(fresh)
    fresh.down()
    fresh.up()
    assert fresh.put() == (200, "stored")
    assert not set(before.splitlines()) & set(secrets(fresh).splitlines())


def test_own_secrets_are_used(fresh: Stack) -> None:
    fresh.run("docker/secrets.sh")
    fresh.up()
    assert fresh.put() == (200, "stored")
    own = fresh.directory / "docker" / "secrets"
    assert {line.rsplit(":")[1] for line in secrets(fresh).splitlines()} == {
        path.read_text().strip() for path in own.iterdir()
    }


def test_password_of_locapi_can_be_changed(fresh: Stack) -> None:
    fresh.up()
    before = secrets(fresh)
    run_marked("DEPLOYMENT.md", "new password", fresh.directory, fresh.environ)
    assert fresh.put() == (200, "stored")
    assert len(set(before.splitlines()) - set(secrets(fresh).splitlines())) == 1
