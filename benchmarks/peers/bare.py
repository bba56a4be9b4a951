"""A Flask endpoint that echoes JSON and does nothing else: the ceiling for any endpoint."""

import sys
from typing import Any

from flask import Flask, request

from cli import workers
from locapi.server import Server

app = Flask(__name__)


@app.put("/location")
def echo() -> Any:
    """Answer what was sent."""
    return request.get_json()


def create_server() -> Server:
    """Return the application as our server takes it."""
    return Server(app)  # type: ignore[arg-type]  # what it adds is never called here


if __name__ == "__main__":
    port, count = sys.argv[1:]
    workers.run("benchmarks.peers.bare:create_server", "127.0.0.1", int(port), int(count))
