"""The map of a running server: a phone sends, a roll-up folds, and a reload shows the track."""

import os
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.conftest import Opened
from tests.conftest import ROOT
from tests.support.processes import LOCCTL
from tests.support.serving import serve


def test_reload_shows_what_a_phone_has_sent_meanwhile(
    browser: Browser, mongodb_uri: str, tmp_path: Path
) -> None:
    with serve(mongodb_uri, tmp_path, environ={"LOCAPI_AUTH": "token"}) as server:
        environ = {
            **os.environ,
            "API_HOST": server.url,
            "MONGODB_URI": mongodb_uri,
            "LOCAPI_DATABASE": server.database,
        }

        def run(*command: str | Path) -> str:
            done = subprocess.run(
                command, env=environ, capture_output=True, text=True, check=True, timeout=120
            )
            return done.stdout.strip()

        token = run(LOCCTL, "token", "add", "--user", "phone", "--read")

        def send(seconds: int) -> None:
            phone = ROOT / "simulation" / "phone.py"
            sent = run(sys.executable, phone, "--token", token, "--seconds", str(seconds))
            assert sent.splitlines()[0] == "Sent the 360 fixes that were kept while offline."
            run(LOCCTL, "rollup")

        def fixes() -> int:
            """Return how many fixes the minutes on the map count."""
            opened.page.locator("#main:not([hidden])").wait_for()
            counted: int = opened.page.evaluate("page.minutes.count.reduce((a, b) => a + b)")
            return counted

        send(0)
        context = browser.new_context(http_credentials={"username": "", "password": token})
        opened = Opened(context.new_page())
        opened.page.goto(server.url)
        opened.page.get_by_role("link", name="Map").click()
        assert fixes() == 360
        send(2)
        opened.page.reload()
        assert fixes() > 360
        assert opened.complaints == []
        context.close()
