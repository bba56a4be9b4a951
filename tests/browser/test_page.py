"""The map in a browser: what a reader sees, hears, points at and types."""

import random
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Route, expect

from locapi.map import render
from locapi.mongo import Document
from locapi.tracks import gather
from tests.browser.chromium import chromium
from tests.browser.conftest import Open, Opened
from tests.test_map import HOSTILE, minute

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DARK = {"color_scheme": "dark"}
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
SLOW, FAST = "#414487", "#fde725"  # at 1.5 and 80 metres a second


def walk(user_id: str = "a1", *, gap: int = 0, start: int = 0, count: int = 10) -> list[Document]:
    """Return minutes due east, a hundredth of a degree each, with a gap after the fifth."""
    return [
        minute(user_id, start + at + (gap if at >= 5 else 0), long=-74 + at / 100, count=at + 1)
        for at in range(count)
    ]


def quiet(opened: Opened) -> bool:
    """Return whether the page asked nothing of the network and complained of nothing."""
    assert opened.requests == [opened.page.url.split("#")[0]]
    assert opened.complaints == []
    return True


def point_at(opened: Opened, lat: float, long: float) -> str:
    """Point at a place and return what is told there."""
    opened.page.mouse.move(*opened.place(lat, long))
    return opened.text(".leaflet-tooltip")


@pytest.mark.parametrize("options", [{}, DARK, PHONE, {"offline": True}])
def test_a_map_opens_without_a_request_or_a_complaint(
    open_map: Open, options: dict[str, Any]
) -> None:
    opened = open_map(walk("a1") + walk("a2", start=725), **options)
    assert opened.text("#summary") == (
        "2 tracks of 2 users: 20 minutes, 2017-01-01 12:00 to 2017-01-02 00:14 UTC"
    )
    assert opened.page.locator("#tracks tbody tr").all_inner_texts() == [
        "a1\t2017-01-01\t12:00\t12:09\t10",
        "a2\t2017-01-02\t00:05\t00:14\t10",
    ]
    assert quiet(opened)


def test_lines_bear_the_colour_of_their_speed_and_none_leads_over_a_gap(open_map: Open) -> None:
    minutes = walk(gap=6)
    for each in minutes[7:]:
        each["speed"] = 80.0
    opened = open_map(minutes)
    assert opened.line_at(40.7, -73.985) == SLOW
    assert opened.line_at(40.7, -73.955) is None
    assert opened.line_at(40.7, -73.915) == FAST
    assert opened.line_at(40.71, -73.985) is None
    rows = opened.page.locator("#minutes tbody tr").all_inner_texts()
    assert rows[5] == "Nothing for 6 minutes"
    assert len(rows) == 11
    assert quiet(opened)


def test_a_minute_that_no_line_meets_is_a_dot(open_map: Open) -> None:
    opened = open_map([minute(after=0), minute(after=60, long=-73.9, speed=80)])
    assert opened.line_at(40.7, -74.0) == SLOW
    assert opened.line_at(40.7, -73.9) == FAST
    assert opened.line_at(40.7, -73.95) is None


def test_pointing_at_a_minute_tells_its_numbers(open_map: Open) -> None:
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


def test_numbers_beyond_all_sense_and_the_poles_are_shown(open_map: Open) -> None:
    huge = {"accuracy": 1.7e308, "speed": 1e300}
    minutes = [minute("a", 0, **huge), minute("b", 0, lat=90.0), minute("c", 0, lat=-90.0)]
    opened = open_map(minutes)
    told = point_at(opened, 40.7, -74.0)
    assert "accuracy over 21474836.47 m\nover 2147483.647 m/s" in told
    assert quiet(opened)


def test_a_track_over_the_antimeridian_is_drawn_on_the_short_side(open_map: Open) -> None:
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


def test_the_time_line_goes_from_minute_to_minute_by_keys(open_map: Open) -> None:
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


def test_play_goes_on_by_itself_until_the_end_and_is_silent_meanwhile(open_map: Open) -> None:
    opened = open_map(walk(count=20))
    opened.page.get_by_role("button", name="Play").click()
    assert opened.page.locator("#now").get_attribute("aria-live") == "off"
    expect(opened.page.locator("#clock")).to_have_text("2017-01-01 12:19 UTC")
    expect(opened.page.locator("#play")).to_have_text("Play")
    assert opened.page.locator("#now").get_attribute("aria-live") == "polite"
    assert quiet(opened)


def test_pause_stays_at_a_minute_from_which_play_goes_on(open_map: Open) -> None:
    opened = open_map(walk(count=600))
    opened.page.get_by_role("button", name="Play").click()
    expect(opened.page.locator("#clock")).not_to_have_text("2017-01-01 12:00 UTC")
    opened.page.get_by_role("button", name="Pause").click()
    stayed = opened.text("#clock")
    assert "2017-01-01 12:00 UTC" < stayed < "2017-01-01 21:59 UTC"
    opened.page.get_by_role("button", name="Play").click()
    expect(opened.page.locator("#clock")).not_to_have_text(stayed)
    assert opened.text("#clock") > stayed


def test_all_can_be_reached_by_keys_and_shows_where_the_focus_is(open_map: Open) -> None:
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


def test_rows_lead_on_by_arrows_and_tell_on_the_map(open_map: Open) -> None:
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


def test_a_user_a_day_or_a_track_can_be_chosen(open_map: Open) -> None:
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


def test_light_and_dark_follow_the_system_and_the_button(open_map: Open) -> None:
    opened = open_map(walk(), **DARK)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = opened.page.evaluate(ground)
    button = opened.page.get_by_role("button", name="Dark")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert opened.page.evaluate(ground) == "rgb(255, 255, 255)" != dark
    opened.page.emulate_media(color_scheme="light")
    opened.page.evaluate(DRAWN)  # else the page would see no change from dark to dark
    opened.page.emulate_media(color_scheme="dark")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert opened.page.evaluate(ground) == dark
    assert quiet(opened)


@pytest.mark.parametrize("options", [{}, DARK, PHONE])
def test_axe_finds_nothing_to_complain_of(open_map: Open, options: dict[str, Any]) -> None:
    opened = open_map(walk("a1", gap=20) + walk("a2"), **options)
    results = Axe().run(opened.page)
    assert results.violations_count == 0, results.generate_report()


def test_what_is_wide_does_not_widen_a_phone(open_map: Open) -> None:
    opened = open_map([minute("W" * 128), *walk("a1")], **PHONE)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_hostile_name_is_shown_and_does_nothing(open_map: Open) -> None:
    hostile = [HOSTILE, "<img src=x onerror=alert(2)>", '"><svg onload=alert(3)>']
    opened = open_map([each for name in sorted(hostile) for each in walk(name)])
    first = sorted(hostile)[0]
    assert opened.page.locator("#user option").all_text_contents()[1:] == sorted(hostile)
    opened.page.get_by_label("User").select_option(index=1)
    assert point_at(opened, 40.7, -73.99).startswith(first)
    assert opened.page.locator("#minutes td").first.inner_text() == first
    assert quiet(opened)


def test_no_minutes_are_said_to_be_none(open_map: Open) -> None:
    opened = open_map([], **DARK)
    assert opened.text("#notice").startswith("There are no minutes to show")
    assert opened.page.locator("html").get_attribute("data-theme") == "dark"
    assert quiet(opened)


def test_a_hundred_thousand_minutes_open_and_answer(open_map: Open, tmp_path: Path) -> None:
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
    told = point_at(opened, last["lat"], last["long"])
    assert told.startswith("user9\n2017-01-0")
    assert (tmp_path / "map.html").stat().st_size < 2_000_000
    assert quiet(opened)


def test_where_chromium_is_missing_it_is_said_what_to_install(
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
    """Open a map as from a web server, with tiles answered by `tile`."""
    html = render(gather([walk()]))
    context = opened.page.context
    context.route("**/*", lambda route: route.fulfill(body=html, content_type="text/html"))
    context.route("https://tile.openstreetmap.org/**", tile)
    opened.page.goto("https://maps.example.org/map.html")
    opened.page.locator("#main:not([hidden])").wait_for()


def test_the_base_map_comes_when_it_is_asked_for_and_names_its_makers(open_map: Open) -> None:
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
    assert opened.text("#tiles-note").startswith("Fetched from openstreetmap.org")
    expect(opened.page.locator(".leaflet-tile")).to_have_count(0)
    assert opened.complaints == []


def test_a_base_map_that_cannot_be_fetched_is_said_so(open_map: Open) -> None:
    opened = open_map(walk())
    served(opened, lambda route: route.abort())
    opened.page.get_by_label("Base map").check()
    expect(opened.page.locator("#tiles-note")).to_have_text(
        "The base map, or a part of it, cannot be fetched."
    )


def test_without_a_network_no_base_map_is_asked_for(open_map: Open) -> None:
    opened = open_map(walk())
    served(opened, lambda route: route.abort())
    opened.page.context.set_offline(True)
    opened.page.get_by_label("Base map").click()
    expect(opened.page.locator("#tiles-note")).to_have_text("There is no network now.")
    assert not opened.page.get_by_label("Base map").is_checked()
    assert opened.complaints == []


def test_from_a_file_no_base_map_is_asked_for_and_the_remedy_is_named(open_map: Open) -> None:
    opened = open_map(walk())
    opened.page.get_by_label("Base map").click()
    expect(opened.page.locator("#tiles-note")).to_contain_text("only pages that come from a web")
    assert not opened.page.get_by_label("Base map").is_checked()
    assert quiet(opened)
