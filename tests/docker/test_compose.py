"""The real Dockerfile and docker-compose.yml: a fix goes in, its minute comes out and stays."""

import sys

from tests.docker.stack import (
    HEADER,
    compose,
    inspect,
    is_healthy,
    locctl,
    put,
    run,
    up,
    wait_until,
)


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


def test_mongod_is_killed_and_comes_back_by_itself_with_its_data() -> None:
    assert put(user_id="restart") == (200, "stored")
    locctl("rollup")
    before = locctl("export", "--user", "restart")
    restarts = inspect("mongo", ".RestartCount")

    # From outside: in the container nobody can kill its process number 1.
    pid = str(inspect("mongo", ".State.Pid"))
    image = inspect("mongo", ".Config.Image")
    run(
        "docker",
        "run",
        "--rm",
        "--pid=host",
        "--entrypoint",
        "bash",
        image,
        "-c",
        f"kill -KILL {pid}",
    )
    wait_until(lambda: bool(inspect("mongo", ".RestartCount") == restarts + 1))
    wait_until(is_healthy)

    assert put(user_id="restart", lat=12.0) == (200, "duplicate")
    assert locctl("export", "--user", "restart") == before


def test_the_stack_goes_down_and_up_again_with_its_data() -> None:
    assert put(user_id="down") == (200, "stored")
    locctl("rollup")
    before = locctl("export")

    compose("down")
    up()

    assert put(user_id="down", lat=12.0) == (200, "duplicate")
    assert locctl("export") == before
    assert "down,2017-01-01T18:05:00Z,40.7,-74.0,5.0,1.5,1\n" in before


def test_every_command_does_with_the_rights_it_has() -> None:
    put(user_id="erased")
    locctl("rollup")

    locctl("verify", "--repair")
    locctl("prune", "--older-than", "1d")
    locctl("erase", "erased")

    assert locctl("export", "--user", "erased") == HEADER
