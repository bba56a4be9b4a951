"""What anyone may send to is not open to other machines by mistake."""

import socket
from typing import Any
from unittest import mock

import pytest
from click.testing import CliRunner, Result

from cli.serve import serve
from locapi.errors import Misconfigured

REFUSAL = (
    " is open to other machines, and anyone could send anything: set LOCAPI_AUTH=token,"
    " or say --insecure-open where something else keeps them out."
)


def run(uri: str, *arguments: str, auth: str = "off") -> tuple[Result, list[Any]]:
    """Return how the command ended, and what it would have listened on."""
    with mock.patch("cli.workers.run") as served:
        environ = {"MONGODB_URI": uri, "LOCAPI_AUTH": auth}
        result = CliRunner().invoke(serve, arguments, env=environ)
    return result, [call.args[1] for call in served.call_args_list]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "0", "192.0.2.1", "2001:db8::1", "::ffff:c000:201"]
)
def test_without_tokens_it_does_not_listen_beyond_loopback(mongodb_uri: str, host: str) -> None:
    result, served = run(mongodb_uri, "--host", host)
    assert isinstance(result.exception, Misconfigured)
    assert (str(result.exception), served) == (host + REFUSAL, [])
    assert run(mongodb_uri, "--host", host, "--insecure-open")[1] == [host]
    assert run(mongodb_uri, "--host", host, auth="token")[1] == [host]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "127.1", "::1", "localhost"])
def test_on_loopback_it_needs_no_leave(mongodb_uri: str, host: str) -> None:
    assert run(mongodb_uri, "--host", host)[1] == [host]
    assert run(mongodb_uri)[1] == ["127.0.0.1"]


def test_a_name_counts_by_every_address_it_has(mongodb_uri: str) -> None:
    def resolved(*addresses: str) -> Any:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in addresses]
        return mock.patch("socket.getaddrinfo", return_value=found)

    with resolved("127.0.0.1", "192.0.2.1"):
        result, served = run(mongodb_uri, "--host", "both.example")
    assert (str(result.exception), served) == ("both.example" + REFUSAL, [])
    with resolved("127.0.0.1", "127.0.0.2"):
        assert run(mongodb_uri, "--host", "ours.example")[1] == ["ours.example"]


def test_a_name_that_nobody_knows_is_not_taken_for_loopback(mongodb_uri: str) -> None:
    with mock.patch("socket.getaddrinfo", side_effect=socket.gaierror(-2, "Name not known")):
        result, served = run(mongodb_uri, "--host", "nowhere.example")
    assert (str(result.exception), served) == (
        "--host nowhere.example cannot be used: Name not known",
        [],
    )
