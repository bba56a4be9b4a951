"""The map in a browser, used by mouse, keyboard and screen reader."""

import random
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Route, expect

from locapi.exporters.tracks import MAX_STEP
from locapi.map.columns import collect
from locapi.map.page import render
from locapi.storage.documents import Document
from tests.browser.chromium import chromium
from tests.browser.conftest import Open, Opened
from tests.support.minutes import HOSTILE, minute

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DARK = {"color_scheme": "dark"}
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
SLOW, FAST = "#414487", "#fde725"  # at 1.5 and 80 metres a second
UNKNOWN = "#8c8c8c"


def walk(user_id: str = "a1", *, gap: int = 0, start: int = 0, count: int = 10) -> list[Document]:
    """Return minutes due east, a hundredth of a degree each, with a gap after the fifth."""
    return [
        minute(user_id, start + at + (gap if at >= 5 else 0), long=-74 + at / 100, count=at + 1)
        for at in range(count)
    ]


def quiet(opened: Opened) -> bool:
    """Return whether the page made no requests and logged no errors."""
    assert opened.requests == [opened.page.url.split("#")[0]]
    assert opened.complaints == []
    return True


def point_at(opened: Opened, lat: float, long: float) -> str:
    """Move the mouse to a position and return the tooltip's text."""
    opened.page.mouse.move(*opened.place(lat, long))
    return opened.text(".leaflet-tooltip")


@pytest.mark.parametrize("options", [{}, DARK, PHONE, {"offline": True}])
def test_map_opens_without_requests_or_errors(open_map: Open, options: dict[str, Any]) -> None:
    opened = open_map(walk("a1") + walk("a2", start=725), **options)
    assert opened.text("#summary") == (
        "2 tracks of 2 users: 20 minutes, 2017-01-01 12:00 to 2017-01-02 00:14 UTC"
    )
    assert opened.page.locator("#tracks tbody tr").all_inner_texts() == [
        "a1\t2017-01-01\t12:00\t12:09\t10",
        "a2\t2017-01-02\t00:05\t00:14\t10",
    ]
    assert quiet(opened)


def test_lines_have_the_colour_of_their_speed_and_do_not_cross_gaps(open_map: Open) -> None:
    minutes = walk(gap=MAX_STEP)
    for each in minutes[7:]:
        each["speed"] = 80.0
    opened = open_map(minutes)
    assert opened.line_at(40.7, -73.985) == SLOW
    assert opened.line_at(40.7, -73.955) is None
    assert opened.line_at(40.7, -73.915) == FAST
    assert opened.line_at(40.71, -73.985) is None
    rows = opened.page.locator("#minutes tbody tr").all_inner_texts()
    assert rows[5] == "No position for 10 minutes"
    assert len(rows) == 11
    assert quiet(opened)


def test_lone_minute_is_a_dot(open_map: Open) -> None:
    opened = open_map([minute(after=0), minute(after=60, long=-73.9, speed=80)])
    assert opened.line_at(40.7, -74.0) == SLOW
    assert opened.line_at(40.7, -73.9) == FAST
    assert opened.line_at(40.7, -73.95) is None


def test_tooltip_shows_the_values_of_a_minute(open_map: Open) -> None:
    numbers = {"lat": 40.712345, "long": -73.95, "accuracy": 17.228, "speed": 0.9384, "count": 1}
    opened = open_map([minute("a1", 0), minute("ü <b>", 3, **numbers)])
    assert point_at(opened, 40.712345, -73.95).splitlines() == [
        "ü <b>",
        "2017-01-01 12:03 UTC",
        "40.712345, -73.950000",
        "accuracy 17.23 m",
        "0.938 m/s",
        "1 fix",
    ]
    opened.page.mouse.move(*opened.place(40.704, -73.975), steps=5)
    expect(opened.page.locator(".leaflet-tooltip")).to_have_count(0)
    assert quiet(opened)


def test_unknown_speed_is_grey_and_named(open_map: Open) -> None:
    unknown: Document = {"accuracy": None, "speed": None}
    opened = open_map([minute(after=0, **unknown), minute(after=60, long=-73.95)])
    assert opened.line_at(40.7, -74.0) == UNKNOWN
    assert "accuracy unknown\nspeed unknown\n" in point_at(opened, 40.7, -74.0)
    assert opened.page.locator("#legend li").all_inner_texts()[0] == "unknown"
    assert quiet(opened)


def test_line_between_a_known_and_an_unknown_speed_has_the_known_colour(open_map: Open) -> None:
    minutes = [minute(after=0, speed=None), minute(after=1, long=-73.95, speed=80)]
    assert open_map(minutes).line_at(40.7, -73.975) == FAST


def test_huge_values_and_the_poles_are_shown(open_map: Open) -> None:
    huge = {"accuracy": 1.7e308, "speed": 1e300}
    minutes = [minute("a", 0, **huge), minute("b", 0, lat=90.0), minute("c", 0, lat=-90.0)]
    opened = open_map(minutes)
    tooltip = point_at(opened, 40.7, -74.0)
    assert "accuracy over 21474836.47 m\nover 2147483.647 m/s" in tooltip
    assert quiet(opened)


def test_track_across_the_antimeridian_is_drawn_the_short_way(open_map: Open) -> None:
    longs = [179.97, 179.99, -179.99, -179.97]
    opened = open_map([minute("fiji", at, lat=-16.8, long=long) for at, long in enumerate(longs)])
    assert opened.line_at(-16.8, 180.0) == SLOW
    assert opened.line_at(-16.8, 179.98) == SLOW
    assert opened.line_at(-16.8, 180.02) == SLOW
    width = opened.page.evaluate(
        "() => { const b = page.layers.map.getBounds(); return b.getEast() - b.getWest(); }"
    )
    assert width < 1
    assert "-16.800000, -179.990000" in point_at(opened, -16.8, 180.01)
    assert quiet(opened)


def test_arrow_keys_move_along_the_time_line(open_map: Open) -> None:
    opened = open_map(walk("a1", gap=60) + walk("a2", start=4, count=1))
    time = opened.page.get_by_role("slider", name="Minute")
    time.focus()
    assert opened.text("#clock") == "2017-01-01 12:00 UTC"
    assert opened.text("#now").splitlines() == [
        "2017-01-01 12:00 UTC",
        "a1: 40.700000, -74.000000, accuracy 5.00 m, 1.500 m/s, 1 fix",
    ]
    for _ in range(4):
        opened.page.keyboard.press("ArrowRight")
    assert opened.text("#now").splitlines() == [
        "2017-01-01 12:04 UTC",
        "a1: 40.700000, -73.960000, accuracy 5.00 m, 1.500 m/s, 5 fixes",
        "a2: 40.700000, -74.000000, accuracy 5.00 m, 1.500 m/s, 1 fix",
    ]
    opened.page.keyboard.press("ArrowRight")
    assert time.get_attribute("aria-valuetext") == "2017-01-01 13:05 UTC"
    assert opened.page.locator("#now").get_attribute("aria-live") == "polite"
    marked = opened.page.locator("#minutes tr[aria-current=true]")
    assert marked.all_inner_texts()[0].startswith("2017-01-01 13:05\ta1\t40.700000\t-73.950000")
    opened.page.keyboard.press("End")
    assert opened.text("#clock") == "2017-01-01 13:09 UTC"
    assert quiet(opened)


def test_play_can_be_paused_runs_to_the_end_and_is_not_announced(open_map: Open) -> None:
    opened = open_map(walk(count=600))
    clock, now = opened.page.locator("#clock"), opened.page.locator("#now")
    opened.page.get_by_role("button", name="Play").click()
    assert now.get_attribute("aria-live") == "off"
    expect(clock).not_to_have_text("2017-01-01 12:00 UTC")
    opened.page.get_by_role("button", name="Pause").click()
    paused = opened.text("#clock")
    assert "2017-01-01 12:00 UTC" < paused < "2017-01-01 21:59 UTC"
    opened.page.get_by_role("button", name="Play").click()
    expect(clock).not_to_have_text(paused)
    assert opened.text("#clock") > paused
    opened.page.get_by_label("Minute", exact=True).fill("595")
    opened.page.get_by_role("button", name="Play").click()
    expect(clock).to_have_text("2017-01-01 21:59 UTC")
    expect(opened.page.locator("#play")).to_have_text("Play")
    assert now.get_attribute("aria-live") == "polite"
    assert quiet(opened)


def test_every_control_has_a_tab_stop_and_visible_focus(open_map: Open) -> None:
    opened = open_map(walk("a1") + walk("a2"))
    reached = []
    for _ in range(20):
        opened.page.keyboard.press("Tab")
        name, outline = opened.page.evaluate(
            """() => {
                const { id, className, textContent, tagName } = document.activeElement;
                const { outlineStyle } = getComputedStyle(document.activeElement);
                return [tagName === "BODY" ? "" : id || className || textContent, outlineStyle];
            }"""
        )
        if name == "":
            break
        reached.append(name)
        assert outline != "none", name
    on_map = ["map", "leaflet-control-zoom-in", "leaflet-control-zoom-out", "Leaflet"]
    tables = ["tracks-title", "scroll", "a1", "minutes-title", "scroll", "2017-01-01 12:00"]
    controls = ["play", "time", "user", "day", "circles", "tiles"]
    assert reached == ["skip", "theme", *on_map, *controls, *tables]


def test_arrow_keys_move_between_rows_and_show_tooltips(open_map: Open) -> None:
    opened = open_map(walk())
    opened.page.locator("#minutes button").first.focus()
    opened.page.keyboard.press("ArrowDown")
    opened.page.keyboard.press("ArrowDown")
    assert opened.text(".leaflet-tooltip").splitlines()[1:3] == [
        "2017-01-01 12:02 UTC",
        "40.700000, -73.980000",
    ]
    opened.page.keyboard.press("Enter")
    assert opened.text("#clock") == "2017-01-01 12:02 UTC"
    opened.page.keyboard.press("End")
    assert "12:09" in opened.text(".leaflet-tooltip")
    assert quiet(opened)


def test_user_day_and_track_can_be_selected(open_map: Open) -> None:
    opened = open_map(walk("a1") + walk("a1", start=1440) + walk("a2", count=3))
    opened.page.get_by_label("User").select_option("a1")
    assert opened.text("#summary").startswith("2 tracks of 1 user: 20 minutes")
    opened.page.get_by_label("Day, UTC").select_option("2017-01-02")
    assert opened.text("#summary").startswith("1 track of 1 user: 10 minutes, 2017-01-02 12:00")
    opened.page.locator("#tracks").get_by_role("button", name="a2").click()
    assert opened.text("#summary").startswith("1 track of 1 user: 3 minutes, 2017-01-01 12:00")
    assert opened.page.locator("#tracks tr[aria-current=true]").all_inner_texts() == [
        "a2\t2017-01-01\t12:00\t12:02\t3"
    ]
    assert opened.page.locator("#minutes tbody tr").count() == 3
    assert opened.line_at(40.7, -73.985) == SLOW
    assert opened.line_at(40.7, -73.95) is None


def test_theme_follows_the_system_and_the_button(open_map: Open) -> None:
    opened = open_map(walk(), **DARK)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = opened.page.evaluate(ground)
    button = opened.page.locator("#theme")
    expect(button).to_have_text("Light theme")
    button.click()
    expect(button).to_have_text("Dark theme")
    assert opened.page.evaluate(ground) == "rgb(255, 255, 255)" != dark
    opened.page.emulate_media(color_scheme="light")
    opened.page.evaluate(DRAWN)  # else the page would see no change from dark to dark
    opened.page.emulate_media(color_scheme="dark")
    expect(button).to_have_text("Light theme")
    assert opened.page.evaluate(ground) == dark
    assert quiet(opened)


@pytest.mark.parametrize("options", [{}, DARK, PHONE])
def test_axe_finds_no_violations(open_map: Open, options: dict[str, Any]) -> None:
    opened = open_map(walk("a1", gap=20) + walk("a2"), **options)
    results = Axe().run(opened.page)
    assert results.violations_count == 0, results.generate_report()


def test_long_names_do_not_widen_a_phone(open_map: Open) -> None:
    opened = open_map([minute("W" * 128), *walk("a1")], **PHONE)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390


LABELS = """() => {
    const box = (node) => { const { left, right, top, bottom } = node.getBoundingClientRect();
                            return { left, right, top, bottom }; };
    const inside = (a, b) => a.left >= b.left && a.right <= b.right;
    const apart = (a, b) => a.left >= b.right || a.right <= b.left
                         || a.top >= b.bottom || a.bottom <= b.top;
    const [map, zoom] = [element("map"), document.querySelector(".leaflet-control-zoom")].map(box);
    const labels = [...document.querySelectorAll(".degrees span")];
    return labels.map((label) => [label.textContent, inside(box(label), map)
                                                     && apart(box(label), zoom)]);
}"""


def test_degrees_stay_readable_at_the_edges_of_a_phone(open_map: Open) -> None:
    opened = open_map(walk(), **PHONE)
    mouse, (x, y) = opened.page.mouse, opened.place(40.7, -73.95)
    mouse.move(x, y)
    mouse.down()
    for step in range(0, 100, 10):
        mouse.move(x + step, y - step)
        opened.page.evaluate(DRAWN)
        labels = opened.page.evaluate(LABELS)
        assert {text[-1] for text, _ in labels} == {"N", "W"}
        assert all(readable for _, readable in labels), labels
    mouse.up()


def test_hostile_name_is_shown_as_text(open_map: Open) -> None:
    hostile = [HOSTILE, "<img src=x onerror=alert(2)>", '"><svg onload=alert(3)>']
    opened = open_map([each for name in sorted(hostile) for each in walk(name)])
    first = sorted(hostile)[0]
    assert opened.page.locator("#user option").all_text_contents()[1:] == sorted(hostile)
    opened.page.get_by_label("User").select_option(index=1)
    assert point_at(opened, 40.7, -73.99).startswith(first)
    assert opened.page.locator("#minutes td").first.inner_text() == first
    assert quiet(opened)


def test_page_without_minutes_says_so(open_map: Open) -> None:
    opened = open_map([], **DARK)
    assert opened.text("#notice").startswith("No minutes match")
    assert opened.page.locator("html").get_attribute("data-theme") == "dark"
    assert quiet(opened)


def test_hundred_thousand_minutes_can_be_explored(open_map: Open, tmp_path: Path) -> None:
    chance = random.Random(1)
    minutes = []
    for user in range(10):
        lat, long = 48 + user / 10, 8.0
        for at in range(10_000):
            lat, long = lat + chance.gauss(0, 0.001), long + chance.gauss(0, 0.0014)
            numbers = {"accuracy": chance.random() * 40, "speed": chance.expovariate(0.1)}
            minutes.append(minute(f"user{user}", at, lat=lat, long=long, **numbers))
    opened = open_map(minutes)
    assert "10 users: 100,000 minutes" in opened.text("#summary")
    assert opened.text("#circles-note") == "Zoom in to see them."
    last = minutes[-1]
    opened.page.get_by_label("User").select_option("user9")
    assert point_at(opened, last["lat"], last["long"]).startswith("user9\n2017-01-0")
    assert (tmp_path / "map.html").stat().st_size < 2_000_000
    assert quiet(opened)


def test_missing_chromium_names_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="apt-get install -y chromium"), chromium():
        pass


# The base map.

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c63606060f80f00010401005fe5c34b0000000049454e44ae426082"
)


def served(opened: Opened, tile: Any) -> None:
    """Open a map from a web server whose tiles `tile` answers."""
    html = render(collect([walk()]))
    context = opened.page.context
    context.route("**/*", lambda route: route.fulfill(body=html, content_type="text/html"))
    context.route("https://tile.openstreetmap.org/**", tile)
    opened.page.goto("https://maps.example.org/map.html")
    opened.page.locator("#main:not([hidden])").wait_for()


def test_base_map_is_fetched_only_when_switched_on_and_is_credited(open_map: Open) -> None:
    opened = open_map(walk())
    referrers = []

    def tile(route: Route) -> None:
        referrers.append(route.request.headers["referer"])
        route.fulfill(body=PIXEL, content_type="image/png")

    served(opened, tile)
    assert referrers == []
    with opened.page.expect_response("https://tile.openstreetmap.org/**"):
        opened.page.get_by_label("Base map").check()
    expect(opened.page.locator(".leaflet-control-attribution")).to_contain_text(
        "© OpenStreetMap contributors"
    )
    assert set(referrers) == {"https://maps.example.org/"}
    opened.page.get_by_label("Base map").uncheck()
    assert opened.text("#tiles-note").startswith("Loaded from openstreetmap.org")
    expect(opened.page.locator(".leaflet-tile")).to_have_count(0)
    assert opened.complaints == []


def test_missing_tiles_are_reported(open_map: Open) -> None:
    opened = open_map(walk())
    served(opened, lambda route: route.abort())
    opened.page.get_by_label("Base map").check()
    expect(opened.page.locator("#tiles-note")).to_contain_text("could not be loaded")


@pytest.mark.parametrize(
    ("is_file", "note"),
    [(True, "serves only pages from a web server"), (False, "There is no network connection.")],
)
def test_base_map_stays_off_for_a_file_or_without_network(
    open_map: Open, is_file: bool, note: str
) -> None:
    opened = open_map(walk())
    if not is_file:
        served(opened, lambda route: route.abort())
        opened.page.context.set_offline(True)
    opened.page.get_by_label("Base map").click()
    expect(opened.page.locator("#tiles-note")).to_contain_text(note)
    assert not opened.page.get_by_label("Base map").is_checked()
    assert opened.complaints == []
