"""What the balancer of docker-compose.cluster.yml answers by itself keeps the API's contract."""

import io
import json
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, cast

import pytest

from tests.conftest import ROOT


class Sent(io.BytesIO):
    """What came through a socket."""

    def makefile(self, _: str) -> "Sent":
        return self


def answer(file: Path) -> tuple[int, dict[str, Any], HTTPResponse]:
    response = HTTPResponse(cast(Any, Sent(file.read_bytes())))
    response.begin()
    return response.status, json.loads(response.read()), response


@pytest.mark.parametrize(
    ("name", "status", "code", "retry_after"),
    [("unavailable", 500, "unavailable", "2"), ("malformed", 400, "bad_request", None)],
)
def test_balancer_errors_are_json_as_of_the_api(
    name: str, status: int, code: str, retry_after: str | None
) -> None:
    sent_status, body, response = answer(ROOT / "docker" / f"{name}.http")

    assert (sent_status, body["error"]["code"]) == (status, code)
    assert response.getheader("Content-Type") == "application/json"
    assert response.getheader("Retry-After") == retry_after
    assert response.isclosed()  # its length is the one it names
