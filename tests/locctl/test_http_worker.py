"""A worker process between its start and its first request."""

import multiprocessing

from locctl.http_worker import STOP_S

from locapi.ingest import store
from tests.support.http_worker import be_stopped_before_the_loop_runs
from tests.support.processes import DEADLINE_S

DOCKER_S = 10  # until it kills


def test_stop_signal_before_the_loop_runs_is_not_lost() -> None:
    context = multiprocessing.get_context("spawn")
    count = context.Value("i", lock=False)
    worker = context.Process(target=be_stopped_before_the_loop_runs, args=(count,))
    worker.start()
    worker.join(DEADLINE_S)
    exit_code = worker.exitcode
    worker.kill()
    assert exit_code == 0
    assert count.value == 0  # the start counts as a success


def test_time_to_stop_suffices_for_the_database_and_for_docker() -> None:
    assert store.DEADLINE_S < STOP_S < DOCKER_S - 1
