"""A Flask endpoint that echoes JSON and does nothing else: the ceiling for any endpoint."""

import sys
from typing import Any

from flask import Flask, request
from locctl import http_server

from locapi.api.bridge import Bridge

app = Flask(__name__)


@app.put("/location")
def echo() -> Any:
    """Answer what was sent."""
    return request.get_json()


def create_application() -> Bridge:
    """Return the application as our server takes it."""
    return Bridge(app)


if __name__ == "__main__":
    port, count = sys.argv[1:]
    name = "benchmarks.peers.bare:create_application"
    http_server.run("127.0.0.1", int(port), int(count), application=name)
