"""An API without authentication is not open to other machines by mistake."""

import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPSConnection
from itertools import takewhile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import trustme
from click.testing import CliRunner, Result
from locctl.commands import serve as command

from locapi.errors import Misconfigured
from tests.conftest import Locctl, free_port
from tests.support.processes import LOCCTL, until
from tests.support.raw import HEALTH, connect, receive
from tests.support.serving import serve

REFUSAL = (
    " is open to other machines, and LOCAPI_AUTH is off: set LOCAPI_AUTH=token, or add"
    " --insecure-open if a firewall or a proxy limits access."
)


def run(uri: str, *arguments: str, auth: str = "off") -> tuple[Result, list[Any]]:
    """Return how the command ended, and what it would have listened on."""
    with mock.patch("locctl.http_server.run") as served:
        environ = {"MONGODB_URI": uri, "LOCAPI_AUTH": auth, "LOCAPI_ALLOWED_HOSTS": None}
        result = CliRunner().invoke(command.serve, arguments, env=environ)
    return result, [call.args[0] for call in served.call_args_list]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "0", "192.0.2.1", "2001:db8::1", "::ffff:c000:201"]
)
def test_without_tokens_it_does_not_listen_beyond_loopback(mongodb_uri: str, host: str) -> None:
    result, served = run(mongodb_uri, "--host", host)
    assert isinstance(result.exception, Misconfigured)
    assert (str(result.exception), served) == (f"--host {host}{REFUSAL}", [])
    assert run(mongodb_uri, "--host", host, "--insecure-open")[1] == [host]
    assert run(mongodb_uri, "--host", host, auth="token")[1] == [host]


@pytest.mark.parametrize(
    ("arguments", "given", "allowed"),
    [
        ([], None, None),
        (["--insecure-open"], None, "*"),
        (["--insecure-open"], "localhost", "localhost"),
    ],
)
def test_workers_accept_any_host_name_only_with_insecure_open(
    mongodb_uri: str, arguments: list[str], given: str | None, allowed: str | None
) -> None:
    environ = {"MONGODB_URI": mongodb_uri, "LOCAPI_ALLOWED_HOSTS": given}
    seen = []
    with mock.patch("locctl.http_server.run") as served:
        served.side_effect = lambda *_: seen.append(os.environ.get("LOCAPI_ALLOWED_HOSTS"))
        CliRunner().invoke(command.serve, arguments, env=environ)
    assert seen == [allowed]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "127.1", "::1", "localhost"])
def test_loopback_needs_no_option(mongodb_uri: str, host: str) -> None:
    assert run(mongodb_uri, "--host", host)[1] == [host]
    assert run(mongodb_uri)[1] == ["127.0.0.1"]


def test_host_name_must_resolve_to_loopback_addresses_only(mongodb_uri: str) -> None:
    def resolved(*addresses: str) -> Any:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in addresses]
        return mock.patch("socket.getaddrinfo", return_value=found)

    with resolved("127.0.0.1", "192.0.2.1"):
        result, served = run(mongodb_uri, "--host", "both.example")
    assert (str(result.exception), served) == (f"--host both.example{REFUSAL}", [])
    with resolved("127.0.0.1", "127.0.0.2"):
        assert run(mongodb_uri, "--host", "ours.example")[1] == ["ours.example"]


def test_unknown_host_name_is_refused(mongodb_uri: str) -> None:
    with mock.patch("socket.getaddrinfo", side_effect=socket.gaierror(-2, "Name not known")):
        result, served = run(mongodb_uri, "--host", "nowhere.example")
    assert (str(result.exception), served) == (
        "--host nowhere.example cannot be used: Name not known",
        [],
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_port_that_is_in_use_is_reported(locctl: Locctl, host: str) -> None:
    family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.create_server(address, family=family) as taken:
        port = taken.getsockname()[1]
        ended = locctl("serve", "--host", host, "--port", str(port))
    shown = f"[{host}]" if ":" in host else host
    assert ended.returncode == 1
    assert ended.stderr.endswith(
        f"Error: cannot listen on {shown}:{port}: address in use."
        " Stop the other process or choose another port with --port.\n"
    )


def test_request_after_the_message_is_answered(mongodb_uri: str) -> None:
    port = free_port()
    command = [str(LOCCTL), "serve", f"--port={port}", "--workers=2"]
    environ = {**os.environ, "MONGODB_URI": mongodb_uri}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        before = list(takewhile(lambda line: "serving" not in line, process.stderr))
        socket.create_connection(("127.0.0.1", port)).close()
        process.terminate()
        rest = process.communicate()[1]
    assert len(before) == 1
    assert "serving" not in rest


@pytest.fixture
def issued(tmp_path: Path) -> Callable[[], ssl.SSLContext]:
    """Write a new certificate and key; return a context that trusts only these."""

    def issue() -> ssl.SSLContext:
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    return issue


def get_health(port: int, context: ssl.SSLContext) -> int | None:
    """Return the status, or None if the server's certificate is not trusted."""
    with closing(HTTPSConnection("localhost", port, context=context, timeout=20)) as connection:
        try:
            connection.request("GET", "/health")
        except ssl.SSLCertVerificationError:
            return None
        return connection.getresponse().status


def test_https_is_served_and_a_reload_reads_a_new_certificate(
    mongodb_uri: str, tmp_path: Path, issued: Callable[[], ssl.SSLContext]
) -> None:
    first = issued()
    options = [f"--tls-cert={tmp_path / 'cert.pem'}", f"--tls-key={tmp_path / 'key.pem'}"]
    with serve(mongodb_uri, tmp_path, workers=1, options=options) as serving:
        message = f"serving https://127.0.0.1:{serving.port}"
        until(lambda: message in serving.log.read_text())
        assert get_health(serving.port, first) == 200
        with connect(serving.port) as plain:
            plain.sendall(HEALTH)
            assert not receive(plain).startswith(b"HTTP")

        second, old = issued(), serving.workers()
        serving.process.send_signal(signal.SIGHUP)
        until(lambda: serving.replaced(old, 1))
        assert get_health(serving.port, second) == 200
        assert get_health(serving.port, first) is None

        (tmp_path / "cert.pem").write_text("damaged")
        serving.process.send_signal(signal.SIGHUP)
        until(lambda: "the workers were not replaced: --tls-cert" in serving.log.read_text())
        assert get_health(serving.port, second) == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tls-cert={cert}"], "give both --tls-cert and --tls-key, or neither."),
        (["--tls-cert={cert}", "--tls-key={cert}"], "cannot be used: "),
        (["--tls-cert={cert}", "--tls-key=/nowhere"], "File '/nowhere' does not exist."),
    ],
)
def test_certificate_that_cannot_be_used_is_reported(
    locctl: Locctl,
    tmp_path: Path,
    issued: Callable[[], ssl.SSLContext],
    options: list[str],
    message: str,
) -> None:
    issued()
    arguments = [option.format(cert=tmp_path / "cert.pem") for option in options]
    ended = locctl("serve", *arguments)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
