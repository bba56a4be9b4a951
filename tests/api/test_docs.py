"""The page at /docs and its files; tests/browser opens it in a browser."""

import re
import sys

import pytest
from flask.testing import FlaskClient

from tests.support.openapi import DOCUMENT

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = DOCUMENT["paths"]["/docs/{name}"]["get"]["parameters"][0]["schema"]["enum"]


def test_page_refers_to_files_that_are_served(api: FlaskClient) -> None:
    page = api.get("/docs")
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    assert page.headers["Content-Security-Policy"] == POLICY
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    links = re.findall(r'(?:href|src)="(.*?)"', page.get_data(as_text=True))
    assert {f"docs/{name}" for name in FILES} | {"openapi.json"} == set(links)
    for link in links:
        assert api.get(f"/{link}").status_code == 200


@pytest.mark.parametrize("name", ["index.html", "swagger-ui.js", "..%2fdocs.js", "%2e%2e", "a/b"])
def test_other_files_get_404(api: FlaskClient, name: str) -> None:
    assert api.get(f"/docs/{name}").status_code == 404


def test_head_is_answered_without_a_body_and_other_methods_get_405(api: FlaskClient) -> None:
    for path in ("/docs", "/docs/docs.js", "/openapi.json"):
        head = api.head(path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.content_length
        assert api.put(path).status_code == 405


def test_page_says_how_to_install_swagger_ui(
    api: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "flask_swagger_ui", None)  # as if not installed
    page = api.get("/docs")
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    text = page.get_data(as_text=True)
    assert "pip install 'locapi[docs]'" in text
    assert '<a href="openapi.json">' in text
    assert "<script" not in text
    assert api.get("/docs/swagger-ui.css").status_code == 404
