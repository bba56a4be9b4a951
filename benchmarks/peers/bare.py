"""A Flask endpoint that echoes JSON and does nothing else: the ceiling for any endpoint."""

from typing import Any

from flask import Flask, request

app = Flask(__name__)


@app.put("/location")
def echo() -> Any:
    """Answer what was sent."""
    return request.get_json()
