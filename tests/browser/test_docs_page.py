"""The page at /docs in a real browser: it fetches nothing, complains of nothing, fits a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.serving import Serving, serve

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}


@pytest.fixture(scope="module")
def serving(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(mongodb_uri, tmp_path_factory.mktemp("serve"), workers=1) as serving:
        yield serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser:
            yield browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_and_asks_for_nothing_but_itself(
    serving: Serving, browser: Browser, tmp_path: Path, size: str, scheme: Literal["light", "dark"]
) -> None:
    width, height = SIZES[size]
    with browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme
    ) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        asked, told = noted(page)
        page.goto(f"{serving.url}/docs", wait_until="networkidle")
        assert page.title().startswith("locapi ")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == PAPER[scheme]
        page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert asked == [f"{serving.url}/docs"]
    assert told == []


def noted(page: Page) -> tuple[list[str], list[str]]:
    """Return lists of what the page will ask for over the network, and complain of."""
    asked: list[str] = []
    told: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("requestfailed", lambda request: told.append(f"failed: {request.url}"))
    return asked, told


def test_the_page_is_used_by_keyboard(serving: Serving, browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{serving.url}/docs")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.url.endswith("#main")
        answer = page.locator("details", has_text="A number in quotes")
        assert not answer.get_by_text("send it without quotes").first.is_visible()
        answer.locator("summary").focus()
        page.keyboard.press("Enter")
        assert answer.get_by_text("send it without quotes").first.is_visible()
