"""The map's page, as far as no browser is needed."""

import base64
import hashlib
import json
import re
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from locctl.output import NO_MINUTES

from locapi.errors import Misconfigured
from locapi.map import page
from locapi.map.columns import collect
from tests.conftest import Locctl, Send
from tests.support.minutes import HOSTILE, minute


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_user_name_cannot_leave_its_element() -> None:
    html = page.render(collect([[minute(HOSTILE)]]))
    assert data_of(html)["users"] == [HOSTILE]
    assert html.count("<script") == html.count("</script") == 3
    assert "alert(1)" in html
    assert "<!--" not in html


def test_page_is_complete_and_equal_for_equal_minutes() -> None:
    html, again = (page.render(collect([[minute("a"), minute("b")]])) for _ in range(2))
    assert html == again
    assert not re.search(r"\{\{[a-z.]+\}\}", html)
    assert not re.search(r'(src|href)="http', html.split("<script")[0])
    assert "Redistribution and use in source and binary forms" in html
    assert "Volodymyr Agafonkin" in html


def test_policy_allows_only_the_pages_own_scripts_and_styles_and_tiles() -> None:
    html = page.render(collect([[minute()]]))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', html)
    directives = dict(each.split(" ", 1) for each in policy.split("; "))
    for name in ("script", "style"):
        texts = re.findall(rf"<{name}>(.*?)</{name}>", html, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in texts]
        allowed = " ".join(f"'sha256-{each.decode()}'" for each in hashes)
        assert directives.pop(f"{name}-src") == allowed
    assert directives == {
        "default-src": "'none'",
        "img-src": "data: https://tile.openstreetmap.org",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, by WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_faster_classes_are_lighter() -> None:
    speeds, colours = zip(*page.SPEEDS, strict=True)
    assert speeds == tuple(sorted(speeds))
    assert speeds[0] == 0
    for slower, faster in pairwise(colours):
        assert luminance(slower) < luminance(faster)
        assert contrast(slower, faster) > 1.2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_line_or_its_edge_contrasts_with_the_ground(theme: str) -> None:
    assets = Path(page.__file__).parent / "assets"
    script = (assets / "track_map.js").read_text()
    edges = dict(re.findall(r'(light|dark): \{ edge: "(#\w{6})"', script))
    light, dark = re.findall(r"--ground: (#\w{6})", (assets / "page.css").read_text())
    ground = {"light": light, "dark": dark}[theme]
    assert contrast(edges[theme], ground) >= 3
    for _, colour in page.SPEEDS:
        assert max(contrast(colour, ground), contrast(colour, edges[theme])) >= 3


def test_missing_leaflet_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(Misconfigured) as refused:
        page.render(collect([[minute()]]))
    assert str(refused.value) == (
        "the map needs Leaflet, which is not installed. Run pip install 'locapi[map]'."
    )


def test_command_writes_what_is_selected(send: Send, locctl: Locctl, tmp_path: Path) -> None:
    for user_id in ("a1", "a2", "a3"):
        send(user_id=user_id)
        send(timestamp="2017-01-02 13:05:12", user_id=user_id)
    locctl("rollup")
    output = tmp_path / "map.html"
    users = ["--user", "a3", "--user", "a1", "--user", "a3"]
    done = locctl("map", *users, "--since", "2017-01-02", "-o", output)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "Wrote 2 tracks with 2 minutes.\n"
    assert list(tmp_path.iterdir()) == [output]
    assert data_of(output.read_text())["users"] == ["a1", "a3"]
    every = data_of(locctl("map").stdout)["tracks"]
    assert every == [[0, 0, 1], [0, 1, 1], [1, 2, 1], [1, 3, 1], [2, 4, 1], [2, 5, 1]]
    none = locctl("map", "--until", "2017-01-01").stderr
    assert none == f"Wrote 0 tracks with 0 minutes.\n{NO_MINUTES}\n"
    stdout = locctl("map", "--since", "2017-01-02", "--user", "a1", "--user", "a3").stdout
    assert stdout == output.read_text()
