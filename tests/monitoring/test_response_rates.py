"""Responses a second of an API, by its metrics."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from locapi.errors import ApiUnreachable, Misconfigured
from locapi.monitoring import response_rates
from locapi.monitoring.response_rates import ResponseRates

PAGE = """\
# HELP locapi_answers_total Answers, by status code and verdict.
# TYPE locapi_answers_total counter
locapi_answers_total{{code="200",verdict="stored"}} {stored}
locapi_answers_total{{code="400",verdict="invalid_fix"}} 2.0
locapi_answers_total{{code="500",verdict="internal_error"}} 1.0
locapi_answers_total{{code="503",verdict="internal_error"}} {errors}
locapi_answer_seconds_count{{code="200",verdict="stored"}} 7.0
"""


class Api:
    """An HTTP server that answers every request with `status` and `body`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.status, self.body, self.paths = 200, "", list[str]()

    def count(self, stored: float, errors: float = 0.0) -> None:
        self.body = PAGE.format(stored=stored, errors=errors)


@contextmanager
def running(port: int = 0) -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.paths.append(self.path)
            self.send_response(served.status)
            self.end_headers()
            self.wfile.write(served.body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        served = Api(server.server_port)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def api() -> Iterator[Api]:
    with running() as served:
        yield served


def test_rates_are_means_over_ten_seconds_by_verdict(api: Api) -> None:
    rates = ResponseRates(api.url)
    api.count(stored=1_000)
    assert rates.sample(100.0) == {"stored": 0.0, "invalid_fix": 0.0, "internal_error": 0.0}
    api.count(stored=1_020, errors=4)
    assert rates.sample(102.0) == {"stored": 10.0, "invalid_fix": 0.0, "internal_error": 2.0}
    api.count(stored=1_050, errors=4)
    assert rates.sample(110.0)["stored"] == 5.0
    assert rates.sample(113.0) == {"stored": 30 / 11, "invalid_fix": 0, "internal_error": 0}
    assert set(api.paths) == {"/metrics"}


def test_rates_start_again_after_a_restart_of_the_api(api: Api) -> None:
    rates = ResponseRates(api.url)
    for now, stored in ((0.0, 1_000), (2.0, 1_010), (4.0, 3)):
        api.count(stored)
        found = rates.sample(now)
    assert found["stored"] == 0.0
    api.count(23)
    assert rates.sample(6.0)["stored"] == 10.0


def test_path_of_the_api_is_kept(api: Api) -> None:
    api.count(1)
    ResponseRates(f"{api.url}/locations/").sample(0.0)
    assert api.paths == ["/locations/metrics"]


@pytest.mark.parametrize(("status", "body"), [(404, PAGE), (200, "<html>"), (200, "")])
def test_page_without_metrics_is_reported(api: Api, status: int, body: str) -> None:
    api.status, api.body = status, body
    with pytest.raises(ApiUnreachable) as raised:
        ResponseRates(api.url).sample(0.0)
    assert str(raised.value) == f"no metrics of locapi at /metrics (HTTP {status})"


def test_unreachable_api_is_reported_and_found_again() -> None:
    with running() as api:
        rates = ResponseRates(api.url)
        api.count(1)
        rates.sample(0.0)
    with pytest.raises(ApiUnreachable) as raised:
        rates.sample(1.0)
    assert str(raised.value) == "the API does not respond (Connection refused)"
    with running(int(api.url.rpartition(":")[2])) as again:
        again.count(5)
        assert rates.sample(2.0)["stored"] == 2.0


def test_silent_api_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_rates, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rates = ResponseRates(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ApiUnreachable) as raised:
            rates.sample(0.0)
    assert str(raised.value) == "the API does not respond (timed out)"


def greet(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"SSH-2.0-x\r\n")


def test_server_of_another_protocol_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=greet, args=(server,))
        thread.start()
        with pytest.raises(ApiUnreachable):
            ResponseRates(f"http://127.0.0.1:{server.getsockname()[1]}").sample(0.0)
        thread.join()


@pytest.mark.parametrize(
    "url",
    ["", "localhost:5000", "ftp://x", "http://", "http://x:y", "http://[", "http://a:b@x", "/x"],
)
def test_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(
        Misconfigured, match=r"--api is not an HTTP address\. Write it like http://"
    ):
        ResponseRates(url)
