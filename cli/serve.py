"""`locctl serve`."""

import os
from dataclasses import replace
from typing import Any

import click
from granian import Granian
from granian.constants import Interfaces

from locapi import mongo
from locapi.settings import Settings

THREADS = 32
_LOGGING: dict[str, Any] = {
    "handlers": {
        name: {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
            "formatter": "generic",
        }
        for name in ("console", "access")
    },
}


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
def serve(host: str, port: int, workers: int) -> None:
    """Run the API until stopped.

    \b
    Example:
        locctl serve --port 5000 --workers 2
    """
    settings = Settings.from_environ()
    with mongo.serving_uri(settings) as uri:
        settings = replace(settings, mongodb_uri=uri)
        with mongo.open_database(settings):
            pass  # a setting that cannot be used is told here once, not by every worker
        os.environ["MONGODB_URI"] = uri  # the workers read their settings there
        Granian(
            "locapi.app:create_app",
            factory=True,
            interface=Interfaces.WSGI,
            address=host,
            port=port,
            workers=workers,
            blocking_threads=THREADS,
            respawn_failed_workers=True,
            workers_kill_timeout=10,
            log_dictconfig=_LOGGING,
        ).serve()
