"""Minutes as tracks, and the page that shows them, as far as no browser is needed."""

import base64
import hashlib
import json
import re
import struct
import zlib
from datetime import UTC, datetime, timedelta
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locapi import map as page
from locapi import tracks as module
from locapi.errors import Misconfigured
from locapi.mongo import Document
from locapi.tracks import COLUMNS, GAP_MINUTES, GREATEST, Track, Tracks, gather, packed
from tests.conftest import Locctl, Send

NOON = datetime(2017, 1, 1, 12, tzinfo=UTC)


def minute(user_id: str = "a1", after: int = 0, **numbers: float) -> Document:
    """Return a minute, so many minutes after noon."""
    time = (NOON + timedelta(minutes=after)).isoformat()[:16]
    whole = {"lat": 40.7, "long": -74.0, "accuracy": 5.0, "speed": 1.5, "count": 3, **numbers}
    return {"_id": f"{user_id}\t{time}", **whole}


def unpacked(tracks: Tracks) -> dict[str, list[int]]:
    """Read the columns as a browser does: sums of steps, in 32 bits."""
    data = zlib.decompress(base64.b64decode(packed(tracks)))
    steps = struct.unpack(f"<{len(data) // 4}i", data)
    columns: dict[str, list[int]] = {}
    for place, name in enumerate(COLUMNS):
        value, columns[name] = 0, []
        for step in steps[place * tracks.minutes : (place + 1) * tracks.minutes]:
            value = (value + step + 2**31) % 2**32 - 2**31
            columns[name].append(value)
    return columns


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_a_track_is_a_user_and_a_utc_day() -> None:
    tracks = gather([[minute("a", 0), minute("a", 1)], [minute("a", 720), minute("b", 0)]])
    assert tracks.users == ["a", "b"]
    assert tracks.tracks == [Track(0, 0, 2), Track(0, 2, 1), Track(1, 3, 1)]


def test_no_line_leads_over_a_gap_nor_to_another_user_but_over_midnight() -> None:
    night = [minute("a", 719), minute("a", 720)]
    gap = [minute("b", 0), minute("b", GAP_MINUTES), minute("b", 2 * GAP_MINUTES + 1)]
    next_user = [minute("c", 2 * GAP_MINUTES + 2)]
    tracks = gather([night + gap + next_user])
    assert tracks.columns["piece"] == [0, 0, 1, 1, 2, 3]
    assert len(tracks.tracks) == 4


def test_numbers_are_kept_to_six_digits_of_a_degree_centimetres_and_millimetres_a_second() -> None:
    numbers = {"lat": -16.1234567, "long": 179.9999994, "accuracy": 17.228, "speed": 0.9384}
    columns = gather([[{**minute(), **numbers, "count": 60}]]).columns
    assert columns == {
        "minute": [int(NOON.timestamp()) // 60],
        "lat": [-16_123_457],
        "long": [179_999_999],
        "accuracy": [1_723],
        "speed": [938],
        "count": [60],
        "turn": [0],
        "piece": [0],
    }


def test_what_is_too_great_for_a_column_is_the_greatest() -> None:
    columns = gather([[minute(accuracy=1.7e308, speed=1e300, count=2**40)]]).columns
    assert [columns[name] for name in ("accuracy", "speed", "count")] == [[GREATEST]] * 3


@pytest.mark.parametrize(
    ("longs", "drawn"),
    [
        ([179.9, -179.9], [179.9, 180.1]),
        ([-179.9, 179.9], [180.1, 179.9]),
        ([179.9, 180.0, -180.0, -179.8], [-180.1, -180.0, -180.0, -179.8]),
        ([-74.0, -73.9], [-74.0, -73.9]),
        ([-120.0, 0.0, 120.0, -120.0, 0.0], [-120.0, 0.0, 120.0, 240.0, 360.0]),
        ([120.0, 0.0, -120.0, 120.0], [120.0, 0.0, -120.0, -240.0]),
        ([10.0], [10.0]),
    ],
)
def test_neighbours_are_drawn_on_the_short_side(longs: list[float], drawn: list[float]) -> None:
    columns = gather([[minute("a", at, long=long) for at, long in enumerate(longs)]]).columns
    assert [
        long / 1e6 + 360 * turn for long, turn in zip(columns["long"], columns["turn"], strict=True)
    ] == pytest.approx(drawn)


def test_users_on_both_sides_of_the_antimeridian_are_drawn_near_each_other() -> None:
    rows = [minute("a", long=-74.0), minute("b", long=178.0), minute("c", long=-179.0)]
    columns = gather([rows]).columns
    assert columns["turn"] == [0, -1, 0]


def test_a_world_without_an_empty_stretch_is_cut_at_the_antimeridian() -> None:
    longs = [-135.0, -45.0, 45.0, 135.0]
    rows = [minute(f"u{at}", long=long) for at, long in enumerate(longs)]
    assert gather([rows]).columns["turn"] == [0] * 4


positions = st.tuples(st.integers(1, 20), st.floats(-90, 90), st.floats(-180, 180))


@given(st.lists(positions, max_size=30))
def test_what_is_packed_reads_back_and_no_line_is_longer_than_half_the_globe(
    path: list[tuple[int, float, float]],
) -> None:
    rows, after = [], 0
    for step, lat, long in path:
        after += step
        rows.append(minute(after=after, lat=lat, long=long))
    tracks = gather([rows])
    assert unpacked(tracks) == tracks.columns
    minutes, turns, pieces = (tracks.columns[name] for name in ("minute", "turn", "piece"))
    drawn = [
        long + 360_000_000 * turn for long, turn in zip(tracks.columns["long"], turns, strict=True)
    ]
    for at, other in pairwise(range(len(rows))):
        joined = pieces[at] == pieces[other]
        assert joined == (minutes[other] - minutes[at] <= GAP_MINUTES)
        assert not joined or abs(drawn[other] - drawn[at]) <= 180_000_000


def test_more_minutes_than_a_browser_can_show_are_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_MINUTES", 2)
    with pytest.raises(Misconfigured) as refused:
        gather([[minute(after=at) for at in range(3)]])
    assert str(refused.value) == (
        "there are more than 2 minutes, too many for one page; "
        "choose fewer by --since, --until or --user"
    )


HOSTILE = "</script><script>alert(1)</script><!--<script>\u2028&amp;{{data}}"


def test_a_users_name_cannot_leave_its_place() -> None:
    html = page.render(gather([[minute(HOSTILE)]]))
    assert data_of(html)["users"] == [HOSTILE]
    assert html.count("<script") == 3
    assert html.count("</script") == 3
    assert "alert(1)" in html
    assert "<!--" not in html


def test_the_page_is_whole_and_the_same_again() -> None:
    tracks = gather([[minute("a", 0), minute("b", 0)]])
    html = page.render(tracks)
    assert html == page.render(gather([[minute("a", 0), minute("b", 0)]]))
    assert not re.search(r"\{\{[a-z.]+\}\}", html)
    assert not re.search(r'(src|href)="http', html.split("<script")[0])
    assert "Redistribution and use in source and binary forms" in html
    assert "Volodymyr Agafonkin" in html


def test_only_the_pages_own_scripts_and_styles_may_run() -> None:
    html = page.render(gather([[minute()]]))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', html)
    directives = dict(each.split(" ", 1) for each in policy.split("; "))
    for name, directive in (("script", "script-src"), ("style", "style-src")):
        texts = re.findall(rf"<{name}>(.*?)</{name}>", html, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in texts]
        assert directives.pop(directive) == " ".join(f"'sha256-{each.decode()}'" for each in hashes)
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


def test_faster_is_lighter_so_that_no_kind_of_colour_vision_is_needed() -> None:
    speeds, colours = zip(*page.SPEEDS, strict=True)
    assert speeds == tuple(sorted(speeds))
    assert speeds[0] == 0
    for slower, faster in pairwise(colours):
        assert luminance(slower) < luminance(faster)
        assert contrast(slower, faster) > 1.2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_line_stands_out_from_the_ground_by_itself_or_by_its_edge(theme: str) -> None:
    folder = Path(page.__file__).parent / "pages" / "map"
    edges = dict(
        re.findall(r'(light|dark): \{ edge: "(#\w{6})"', (folder / "layers.js").read_text())
    )
    light, dark = re.findall(r"--ground: (#\w{6})", (folder / "page.css").read_text())
    ground = {"light": light, "dark": dark}[theme]
    assert contrast(edges[theme], ground) >= 3
    for _, colour in page.SPEEDS:
        assert max(contrast(colour, ground), contrast(colour, edges[theme])) >= 3


def test_without_leaflet_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(Misconfigured) as refused:
        page.render(gather([[minute()]]))
    assert str(refused.value) == (
        "the map needs Leaflet, which is not installed: pip install 'locapi[map]'"
    )


def test_locctl_map_writes_what_is_chosen(send: Send, locctl: Locctl, tmp_path: Path) -> None:
    for user_id in ("a1", "a2", "a3"):
        send(user_id=user_id)
        send(timestamp="2017-01-02 13:05:12", user_id=user_id)
    locctl("rollup")
    output = tmp_path / "map.html"
    done = locctl(
        "map", "--user", "a3", "--user", "a1", "--user", "a3", "--since", "2017-01-02", "-o", output
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "2 tracks of 2 minutes\n"
    assert list(tmp_path.iterdir()) == [output]
    assert data_of(output.read_text())["users"] == ["a1", "a3"]
    assert data_of(locctl("map").stdout)["tracks"] == [
        [0, 0, 1],
        [0, 1, 1],
        [1, 2, 1],
        [1, 3, 1],
        [2, 4, 1],
        [2, 5, 1],
    ]
    assert locctl("map", "--until", "2017-01-01").stderr == "0 tracks of 0 minutes\n"
    assert (
        locctl("map", "--since", "2017-01-02", "--user", "a1", "--user", "a3").stdout
        == output.read_text()
    )


def test_a_map_that_fails_keeps_the_old_file(locctl: Locctl, tmp_path: Path) -> None:
    output = tmp_path / "map.html"
    output.write_text("old")
    away = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"
    assert locctl("map", "-o", output, MONGODB_URI=away).returncode == 1
    assert [(path, path.read_text()) for path in tmp_path.iterdir()] == [(output, "old")]
