"""Swagger UI at /docs in a browser: fixes can be sent from it, and nothing leaves the host."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from locapi.ingest import tokens
from locapi.settings import Settings
from locapi.storage import mongo
from tests.browser.chromium import WAIT_MS
from tests.support.serving import serve


@contextmanager
def opened(browser: Browser, url: str, width: int) -> Iterator[Page]:
    """Open the page, and check at the end that all its requests went to the server."""
    requests: list[str] = []
    with browser.new_context(viewport={"width": width, "height": 844}) as context:
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{url}/docs")
        page.locator("#operations-Fixes-putLocation .opblock-summary-control").click()
        yield page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert {f"{url}/docs", f"{url}/openapi.json", f"{url}/location"} <= set(requests)
    assert all(request.startswith(f"{url}/") for request in requests)


def execute(page: Page, response: str) -> None:
    """Send the example fix, and wait until the page shows this response."""
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table", has_text=response).wait_for()


@pytest.mark.parametrize("width", [390, 1280])
def test_fix_is_sent_and_nothing_is_blocked(
    mongodb_uri: str, browser: Browser, tmp_path: Path, width: int
) -> None:
    with serve(mongodb_uri, tmp_path, workers=1) as serving:
        with opened(browser, serving.url, width) as page:
            complaints: list[str] = []  # such as violations of the Content-Security-Policy
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.reload()
            execute(page, '"status": "stored"')
            execute(page, '"status": "duplicate"')
            assert complaints == []


def test_fix_is_sent_with_a_token(mongodb_uri: str, browser: Browser, tmp_path: Path) -> None:
    with serve(mongodb_uri, tmp_path, workers=1, environ={"LOCAPI_AUTH": "token"}) as serving:
        settings = Settings(mongodb_uri=mongodb_uri, database=serving.database)
        with mongo.open_database(settings) as database:
            token = tokens.add(database, "a1")
        with opened(browser, serving.url, 1280) as page:
            execute(page, '"code": "unauthorized"')
            page.get_by_role("button", name="Authorize").first.click()
            page.get_by_label("auth-bearer-value").fill(token)
            page.get_by_role("button", name="Apply credentials").first.click()
            page.get_by_role("button", name="Close").first.click()
            execute(page, '"status": "stored"')
