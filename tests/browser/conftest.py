"""Maps of given minutes, opened from a file as a reader opens them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from locapi.map.columns import collect
from locapi.map.page import render
from locapi.storage.documents import Document
from tests.browser.chromium import WAIT_MS, chromium

expect.set_options(timeout=WAIT_MS)


class Opened:
    """A page, with what it asked of the network and what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))

    def goto(self, url: str) -> None:
        """Open a map, and wait until it is drawn or says why not."""
        self.page.goto(url)
        self.page.locator("#main:not([hidden]), #notice:not([hidden])").first.wait_for()

    def text(self, selector: str) -> str:
        """Return the text of an element as it is shown."""
        return self.page.locator(selector).inner_text()

    def place(self, lat: float, long: float) -> tuple[float, float]:
        """Return where on the screen a place of the map is."""
        point = self.page.evaluate(
            """([lat, long]) => {
                const { left, top } = element("map").getBoundingClientRect();
                const point = page.layers.map.latLngToContainerPoint([lat, long]);
                return [left + point.x, top + point.y];
            }""",
            [lat, long],
        )
        return point[0], point[1]

    def line_at(self, lat: float, long: float) -> str | None:
        """Return the colour of the line at a place, None where there is none."""
        colour: str | None = self.page.evaluate(
            """([lat, long]) => {
                const canvas = page.layers.map.getPane("lines").querySelector("canvas");
                const box = canvas.getBoundingClientRect();
                const { left, top } = element("map").getBoundingClientRect();
                const point = page.layers.map.latLngToContainerPoint([lat, long]);
                const scale = canvas.width / box.width;
                const [x, y] = [left + point.x - box.left, top + point.y - box.top];
                // A copy, for reading from the canvas itself changes how it is kept.
                const copy = new OffscreenCanvas(1, 1).getContext("2d");
                copy.drawImage(canvas, Math.round(-x * scale), Math.round(-y * scale));
                const [red, green, blue, alpha] = copy.getImageData(0, 0, 1, 1).data;
                const hex = (part) => part.toString(16).padStart(2, "0");
                return alpha === 255 ? `#${hex(red)}${hex(green)}${hex(blue)}` : null;
            }""",
            [lat, long],
        )
        return colour


Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_map(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open the map of minutes, sorted by user and time, in a new context with these options."""
    contexts = []

    def open_map(minutes: list[Document], **options: Any) -> Opened:
        path = tmp_path / "map.html"
        path.write_text(render(collect([minutes] if minutes else [])), encoding="utf-8")
        offline = options.pop("offline", False)
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        context.set_offline(offline)
        opened = Opened(context.new_page())
        opened.goto(path.as_uri())
        return opened

    yield open_map
    for context in contexts:
        context.close()
