"""Serve the OpenAPI document, and Swagger UI as a page to read it and to try the API out."""

import json
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec

import yaml
from flask import Flask, Response
from werkzeug.exceptions import NotFound

_SWAGGER_UI = "flask_swagger_ui"  # the extra `docs`; only the files in it are used
_TYPES = {
    "docs.css": "text/css",
    "docs.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_FILES_MAX_AGE_S = 3600
# Swagger UI needs its own files, images in its style sheet, and this API.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def register(app: Flask) -> None:
    """Add the endpoints."""
    app.add_url_rule("/openapi.json", view_func=get_openapi_json, methods=["GET"])
    app.add_url_rule("/openapi.yaml", view_func=get_openapi_yaml, methods=["GET"])
    app.add_url_rule("/docs", view_func=get_docs, methods=["GET"])
    app.add_url_rule("/docs/<name>", view_func=get_docs_file, methods=["GET"])


def get_openapi_json() -> Response:
    """Return the OpenAPI document as JSON."""
    return Response(_openapi_json(), content_type="application/json")


def get_openapi_yaml() -> Response:
    """Return the OpenAPI document as it was written."""
    return Response(_openapi_yaml(), content_type="application/yaml")


def get_docs() -> Response:
    """Return the page with Swagger UI, or a page that says how to install it."""
    page = "docs.html" if find_spec(_SWAGGER_UI) else "docs_missing.html"
    headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
    return Response(_page(page), headers=headers, content_type="text/html; charset=utf-8")


def get_docs_file(name: str) -> Response:
    """Return a file of the page with Swagger UI."""
    if name not in _TYPES or not find_spec(_SWAGGER_UI):
        raise NotFound
    content = _page(name) if name.startswith("docs.") else _dist().joinpath(name).read_bytes()
    response = Response(content, mimetype=_TYPES[name])
    response.cache_control.max_age = _FILES_MAX_AGE_S
    return response


def _page(name: str) -> bytes:
    return resources.files("locapi.api").joinpath("pages", name).read_bytes()


def _dist() -> Traversable:
    return resources.files(_SWAGGER_UI) / "dist"


@cache
def _openapi_json() -> str:
    # libyaml reads the document in 15 ms instead of 90.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return json.dumps(yaml.load(_openapi_yaml(), loader), ensure_ascii=False)  # noqa: S506


def _openapi_yaml() -> bytes:
    return resources.files("locapi.api").joinpath("openapi.yaml").read_bytes()
