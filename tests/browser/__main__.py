"""Take the pictures of the map that the docs show, from the sample tracks."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from pymongo.database import Database

from locapi.api.app import create_app
from locapi.exporters.query import read_pages
from locapi.map.columns import collect
from locapi.map.page import render
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import embedded, migrate, mongo
from locapi.storage.documents import Document
from simulation.tracks import read_track
from tests.browser.chromium import WAIT_MS, chromium
from tests.conftest import ROOT

DOCS = ROOT / "docs"
TRACKS = sorted((ROOT / "simulation" / "data").glob("*_new_york*"))
WIDE: dict[str, Any] = {"viewport": {"width": 1100, "height": 680}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}


def main() -> None:
    """Write docs/map.png, wide and light, and docs/map-phone.png, dark."""
    with tempfile.TemporaryDirectory(prefix="locapi-map-") as scratch:
        path = Path(scratch) / "map.html"
        with embedded.mongod(Path(scratch) / "database") as uri:
            with mongo.open_database(Settings(mongodb_uri=uri)) as database:
                migrate.prepare(database)
                _send(database)
                path.write_text(render(collect(_pages(database))), encoding="utf-8")
        with chromium() as browser:
            _opened(browser, path, "spring-punctual", WIDE).screenshot(path=DOCS / "map.png")
            _opened(browser, path, "flight", PHONE).screenshot(path=DOCS / "map-phone.png")


def _send(database: Database[Document]) -> None:
    api = create_app(database=database).test_client()
    for track in TRACKS:
        for row in read_track(track):
            if api.put("/location", data=row.body).status_code >= 500:
                raise RuntimeError(f"{row.place} was not stored")
    fold_new_fixes(database)


def _pages(database: Database[Document]) -> Iterator[list[Document]]:
    bodies = (json.loads(row.body) for track in TRACKS for row in read_track(track))
    for user_id in sorted({body["user_id"] for body in bodies}):
        yield from read_pages(database, user_id)


def _opened(browser: Browser, path: Path, user_id: str, options: dict[str, Any]) -> Page:
    page = browser.new_page(**options)
    page.set_default_timeout(WAIT_MS)
    page.goto(path.as_uri())
    page.locator("#main:not([hidden])").wait_for()
    page.get_by_label("User").select_option(user_id)
    slider = page.get_by_role("slider")
    slider.fill(str(int(slider.get_attribute("max") or 0) // 2))
    page.evaluate("page._showTooltip(page.found[0])")
    return page


if __name__ == "__main__":
    main()
