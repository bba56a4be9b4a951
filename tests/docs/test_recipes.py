"""The recipes for phone apps, each by a request of the shape that its configuration gives."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from pymongo import MongoClient

from locapi.storage.documents import Document
from tests.support.pages import PAGES
from tests.support.serving import Serving, serve

PAGE = PAGES["docs/MOBILE.md"]
TIME, LAT, LONG, ACCURACY = "2017-01-01T18:05:12.250Z", 40.7128, -74.006, 5.5


@pytest.fixture(scope="module")
def serving(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(mongodb_uri, tmp_path_factory.mktemp("recipes"), workers=1) as running:
        yield running
    with MongoClient[Document](mongodb_uri) as client:
        client.drop_database(running.database)


def section(title: str) -> str:
    return PAGE.split(f"### {title}\n", 1)[1].split("\n##", 1)[0]


def gpslogger() -> str:
    template = re.search(r"```json\n(.*?)\n```", section("GPSLogger"), re.S)
    assert template
    values = {"%TIME": TIME, "%LAT": LAT, "%LON": LONG, "%ACC": ACCURACY, "%SPD": 1.5}
    return re.sub(r"%[A-Z]+", lambda found: str(values[found[0]]), template[1])


def background_geolocation() -> str:
    template = re.search(r"locationTemplate: '(.*?)'", section("Background Geolocation"))
    assert template
    values = {"timestamp": TIME, "latitude": LAT, "longitude": LONG, "accuracy": ACCURACY}
    fix = re.sub(r"<%= (\w+) %>", lambda found: str({**values, "speed": -1}[found[1]]), template[1])
    return f"[{fix}]"  # a batch at the root


def expo_location() -> str:
    code = section("expo-location")
    names = dict(re.findall(r"  (\w+): coords\.(\w+),", code))
    coords = {"latitude": LAT, "longitude": LONG, "accuracy": ACCURACY, "speed": None}
    fix: dict[str, Any] = {name: coords[source] for name, source in names.items()}
    assert "timestamp: new Date(timestamp).toISOString()," in code
    return json.dumps([{"timestamp": TIME, **fix, "user_id": "ann"}])


def home_assistant() -> str:
    template = re.search(r"payload: >-\n +(.*)", section("Home Assistant"))
    assert template
    values = {
        "state.last_updated.isoformat()": TIME.replace("Z", "000+00:00"),
        "state.attributes.latitude": LAT,
        "state.attributes.longitude": LONG,
        "state.attributes.gps_accuracy": ACCURACY,
    }
    return re.sub(r"\{\{ (.*?) \}\}", lambda found: str(values[found[1]]), template[1])


@pytest.mark.parametrize(
    "recipe", [gpslogger, background_geolocation, expo_location, home_assistant]
)
def test_a_recipe_stores_its_fix(serving: Serving, recipe: Any, mongodb_uri: str) -> None:
    with MongoClient[Document](mongodb_uri, tz_aware=True) as client:
        fixes = client[serving.database].fixes
        fixes.delete_many({})
        response = urllib3.request(
            "POST", f"{serving.url}/locations", body=recipe().encode(), timeout=20
        )
        assert (response.status, response.json()["stored"]) == (200, 1), response.data
        (fix,) = fixes.find()
        assert (fix["user_id"], fix["lat"], fix["long"]) == ("ann", LAT, LONG)
        assert fix["accuracy"] == ACCURACY
        assert fix["local_time"] == "2017-01-01 13:05:12.250"


def test_every_app_of_the_table_has_its_section() -> None:
    for anchor in re.findall(r"\(#([a-z-]+)\)", PAGE.split("### ", 1)[0]):
        titles = re.findall(r"^##+ (.*)$", PAGE, re.M)
        assert anchor in {title.lower().replace(" ", "-") for title in titles}


def test_pages_stay_short() -> None:
    for name in ("docs/MOBILE.md", "docs/MOBILE_CODE.md"):
        assert len(PAGES[name].splitlines()) <= 300, Path(name)
