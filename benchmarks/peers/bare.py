"""A Flask endpoint that echoes JSON and does nothing else: the ceiling for any endpoint."""

from typing import Any

from flask import Flask, request

from locapi.server import Server

app = Flask(__name__)


@app.put("/location")
def echo() -> Any:
    """Answer what was sent."""
    return request.get_json()


def create_server() -> Server:
    """Return the application as our server takes it."""
    return Server(app)
