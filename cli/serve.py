"""`locctl serve`."""

import ipaddress
import logging
import os
import socket
from dataclasses import replace

import click

from locapi import mongo
from locapi.errors import Misconfigured
from locapi.settings import Settings, redacted

_log = logging.getLogger(__name__)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65_535))
@click.option(
    "--workers",
    default=lambda: os.cpu_count() or 1,
    show_default="one a core",
    type=click.IntRange(min=1),
    help="The number of worker processes.",
)
@click.option(
    "--insecure-open",
    is_flag=True,
    help="Listen beyond this machine although anyone may then send anything.",
)
def serve(host: str, port: int, workers: int, insecure_open: bool) -> None:
    """Run the API until stopped.

    Where LOCAPI_AUTH is off it listens on loopback only, unless told to be open.

    SIGTERM lets it answer what it accepted, within 10 s. SIGHUP replaces the
    workers one after the other, without a failed request: the new ones run the
    code that is installed then, with the settings of now.

    \b
    Example:
        locctl serve --port 5000 --workers 2
    """
    from cli import workers as processes  # uvicorn takes its time

    settings = Settings.from_environ()
    if settings.auth == "off" and not insecure_open:
        _require_loopback(host)
    with mongo.serving_uri(settings) as uri:
        settings = replace(settings, mongodb_uri=uri)
        with mongo.open_database(settings):
            # A setting that cannot be used is told here once, not by every worker.
            _log.info("the database is %s at %s", settings.database, redacted(uri))
        os.environ["MONGODB_URI"] = uri  # the workers read their settings there
        processes.run("locapi.server:create_server", host, port, workers)


def _require_loopback(host: str) -> None:
    try:
        found = {address[0] for *_, address in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise Misconfigured(f"--host {host} cannot be used: {error.strerror}") from error
    if not all(ipaddress.ip_address(address).is_loopback for address in found):
        raise Misconfigured(
            f"{host} is open to other machines, and anyone could send anything: set"
            " LOCAPI_AUTH=token, or say --insecure-open where something else keeps them out."
        )
