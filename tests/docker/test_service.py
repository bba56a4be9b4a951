"""The containers do the work: fixes go in, their minutes come out and stay."""

import sys

from tests.docker.conftest import SERVICES
from tests.support.compose import Stack
from tests.support.processes import ask

HEADER = "user_id,minute,lat,long,accuracy,speed,count\n"


def test_minute_of_valid_fixes_is_exported(stack: Stack) -> None:
    answers = [
        stack.put(user_id="in", lat=40.5),
        stack.put(user_id="in", lat=12.0),
        stack.put(user_id="in", lat=41.0, timestamp="2017-01-01 13:05:59.999"),
        stack.put(user_id="in", lat="40.5", timestamp="2017-01-01 13:05:30"),
    ]
    stack.locctl("rollup")
    assert answers == [(200, "stored"), (200, "duplicate"), (200, "stored"), (400, "invalid_fix")]
    assert stack.locctl("export", "--user", "in") == (
        HEADER + "in,2017-01-01T18:05:00Z,40.75,-74.0,5.0,1.5,2\n"
    )


def test_api_is_ready(stack: Stack) -> None:
    assert ask(stack.environ["API_HOST"], "GET", "/readyz") == (200, {"status": "ok"})


def test_rollup_service_folds_by_itself(stack: Stack) -> None:
    assert stack.put(user_id="watched") == (200, "stored")
    stack.compose("restart", "rollup")  # not to wait for its next minute
    stack.until(lambda: len(stack.minutes("--user", "watched")) == 1, "the fix is rolled up")


def test_simulator_runs_against_the_service(stack: Stack) -> None:
    track = "simulation/data/spring_new_york.ndjson"
    assert "code 200" in stack.run(sys.executable, "simulation/simulate.py", track)


def test_killed_mongod_is_restarted_with_its_data(stack: Stack) -> None:
    assert stack.put(user_id="restart") == (200, "stored")
    restarts = stack.inspect("mongo", ".RestartCount")
    # Docker does not restart what `docker kill` ended, and a container cannot kill its process 1.
    kill = f"kill -KILL {stack.inspect('mongo', '.State.Pid')}"
    image = stack.inspect("mongo", ".Config.Image")
    stack.run("docker", "run", "--rm", "--pid=host", "--entrypoint=sh", image, "-c", kill)
    stack.until(lambda: bool(stack.inspect("mongo", ".RestartCount") > restarts), "a restart")
    stack.until(lambda: stack.put(user_id="restart", lat=12.0)[0] == 200, "an answer")
    assert stack.put(user_id="restart", lat=12.0) == (200, "duplicate")


def test_every_command_has_the_rights_that_it_needs(stack: Stack) -> None:
    stack.put(user_id="erased")
    stack.locctl("rollup")
    stack.locctl("init")
    stack.locctl("init", "--check")
    stack.locctl("status")
    stack.locctl("verify", "--repair")
    stack.locctl("prune", "--older-than", "1d")
    stack.locctl("dump", "/tmp/all.dump")
    stack.locctl("erase", "erased")
    stack.locctl("restore", "/tmp/all.dump")
    stack.locctl("restore", "--check", "/tmp/all.dump")
    stack.locctl("erase", "erased")
    assert stack.minutes("--user", "erased") == {}


def test_tokens_decide_who_may_send(stack: Stack) -> None:
    stack.up(LOCAPI_AUTH="token")
    try:
        token = stack.locctl("token", "add", "--user", "holder").strip()
        assert stack.put(user_id="holder") == (401, "unauthorized")
        assert stack.put(token, user_id="holder") == (200, "stored")
        assert stack.put(token, user_id="other") == (403, "forbidden")
    finally:
        stack.up()
    assert stack.put(user_id="other") == (200, "stored")


def test_no_container_logs_a_traceback(stack: Stack) -> None:
    assert stack.put(user_id="logged")[0] == 200
    assert "Traceback" not in stack.compose("logs", *SERVICES)
