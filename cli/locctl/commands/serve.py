"""`locctl serve`."""

import ipaddress
import logging
import os
import socket
from dataclasses import replace
from pathlib import Path

import click

from locapi.errors import Misconfigured
from locapi.settings import ANY_HOST, Settings
from locapi.storage import mongo
from locctl.options import integer

_log = logging.getLogger(__name__)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=5000,
    show_default=True,
    type=integer(1, 65_535),
    help="Port to listen on, 1 to 65535.",
)
@click.option(
    "--workers",
    default=lambda: os.cpu_count() or 1,
    show_default="one a core",
    type=integer(1),
    help="Number of worker processes, 1 or more.",
)
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Serve HTTPS with this certificate chain, a PEM file.",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The certificate's private key, a PEM file without a passphrase.",
)
@click.option(
    "--insecure-open",
    is_flag=True,
    help="Listen beyond this machine, and accept any Host header, although LOCAPI_AUTH is off.",
)
def serve(
    host: str,
    port: int,
    workers: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure_open: bool,
) -> None:
    """Run the API until stopped.

    With LOCAPI_AUTH=off it listens on loopback only, and refuses requests for other host
    names than localhost and loopback addresses, unless you give --insecure-open.

    On SIGTERM it finishes the requests that have arrived and ends within 10 s. On SIGHUP it
    replaces the workers one after the other; the new ones run the code and read the
    certificate that are installed then.

    \b
    Example:
        locctl serve --port 5000 --workers 2
    """
    from locapi.monitoring import metrics, status
    from locctl import http_server  # it takes a while to import

    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("give both --tls-cert and --tls-key, or neither.")
    tls = (tls_cert, tls_key) if tls_cert and tls_key else None
    settings = Settings.from_environ()
    if settings.auth == "off" and not insecure_open:
        _require_loopback(host)
    where = status.where(settings)
    with mongo.serving_uri(settings) as uri, metrics.shared_directory():
        settings = replace(settings, mongodb_uri=uri)
        with mongo.open_database(settings):
            # A setting that cannot be used is reported here once, not by every worker.
            _log.info("the database is %s, %s", settings.database, where)
        os.environ["MONGODB_URI"] = uri  # the workers read their settings there
        if insecure_open and settings.allowed_hosts is None:
            os.environ["LOCAPI_ALLOWED_HOSTS"] = ANY_HOST
        http_server.run(host, port, workers, tls)


def _require_loopback(host: str) -> None:
    try:
        found = {address[0] for *_, address in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise Misconfigured(f"--host {host} cannot be used: {error.strerror}") from error
    if not all(ipaddress.ip_address(address).is_loopback for address in found):
        raise Misconfigured(
            f"--host {host} is open to other machines, and LOCAPI_AUTH is off: set"
            " LOCAPI_AUTH=token, or add --insecure-open if a firewall or a proxy limits access."
        )
