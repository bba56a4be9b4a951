"""The page at /docs: the whole document, as HTML that neither runs nor fetches anything."""

import base64
import hashlib
import json
import re
import shlex
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient
from pymongo.database import Database

from locapi import docs_page, openapi, schema
from locapi.app import create_app
from locapi.mongo import Document
from locapi.settings import Settings

PAGE = docs_page.html()
DOCUMENT = openapi.document()
VOID = {"meta", "link"}


class Page(HTMLParser):
    """The page's elements, which must be closed in their order, and its blocks of code."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.code: list[str] = []
        self.feed(PAGE)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if self.open[-2:] == ["pre", "code"]:
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-2:] == ["pre", "code"]:
            self.code[-1] += data


@pytest.fixture(scope="module")
def page() -> Page:
    return Page()


def test_the_page_is_served_and_may_do_nothing(api: FlaskClient) -> None:
    answer = api.get("/docs")
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert answer.get_data(as_text=True) == PAGE
    [style] = re.findall(r"<style>(.*?)</style>", PAGE, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_head_has_the_headers_alone_and_another_method_gets_405(api: FlaskClient) -> None:
    head = api.head("/docs")
    assert (head.status_code, head.content_type, head.data) == (
        200,
        "text/html; charset=utf-8",
        b"",
    )
    put = api.put("/docs")
    assert (put.status_code, put.content_type) == (405, "application/json")


def test_the_page_is_sound_and_leads_nowhere_else(page: Page) -> None:
    assert page.open == []
    assert "script" not in dict(page.found)
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = {attributes["href"] for _, attributes in page.found if "href" in attributes}
    assert links == {"data:,", "#main"} | {
        f"#{operation['operationId']}"
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
    }
    assert not {name for _, attributes in page.found for name in attributes} & {"src", "style"}


def test_all_operations_codes_fields_and_examples_are_on_it(page: Page) -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            assert f"<code>{method.upper()} {path}</code></h2>" in PAGE
            contents = [operation.get("requestBody", {"content": {}})["content"]]
            for code, answer in operation["responses"].items():
                assert f"<h3>{code}</h3>" in PAGE
                contents.append(answer["content"])
            for content in contents:
                for media in content.values():
                    for example in media.get("examples", {}).values():
                        assert any(
                            json.dumps(example["value"], ensure_ascii=False, indent=2) in code
                            for code in page.code
                        )
                        assert "description" not in example or example["description"] in page.code
    assert re.findall(r"<dt><code>(\w+)</code>", PAGE) == list(schema.RULES)


def test_its_curl_commands_get_what_is_shown(page: Page, api: FlaskClient) -> None:
    commands = [code for code in page.code if code.startswith("curl ")]
    assert len(commands) == len(DOCUMENT["paths"])
    for command in commands:
        words = shlex.split(command)
        if "-d" in words:
            assert words[:3] == ["curl", "-siX", "PUT"]
            answer = api.put(words[3].removeprefix("http://localhost:5000"), data=words[-1])
        else:
            answer = api.get(words[2].removeprefix("http://localhost:5000"))
        assert answer.status_code == 200


def test_no_token_is_asked_for_the_page(db: Database[Document]) -> None:
    app = create_app(Settings(auth="token"), db)
    assert app.test_client().get("/docs").status_code == 200
