"""Render the HTML page: Leaflet, the page's own scripts and styles, and the data, all inline."""

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path

import orjson

from locapi.errors import Misconfigured
from locapi.exporters.tracks import MAX_STEP
from locapi.map.columns import COLUMNS, MAX_INT32, SCALES, Columns, pack

TILES = "https://tile.openstreetmap.org"
_LEAFLET = "django-js-lib-leaflet"  # Leaflet's files; it needs nothing of Django
_LEAFLET_FILES = "js_lib_leaflet/static/js_lib_leaflet"
_SCRIPTS = ("minutes.js", "grid.js", "track_map.js", "dom.js", "page.js")

# The lowest speed of each class in metres a second, and its colour: viridis in six even steps of
# lightness, so classes differ for every kind of colour vision and in greyscale.
SPEEDS = (
    (0, "#440154"),
    (0.5, "#414487"),
    (2, "#2a788e"),
    (7, "#22a884"),
    (20, "#7ad151"),
    (70, "#fde725"),
)
UNKNOWN_SPEED = (-1, "#8c8c8c")


def render(columns: Columns) -> str:
    """Return the page; equal columns give an equal page.

    Raises Misconfigured if Leaflet is not installed.
    """
    texts = {
        "leaflet.css": _read_leaflet("leaflet.css"),
        "page.css": _read_asset("page.css"),
        "leaflet.js": _leaflet_script(),
        "page.js": '"use strict";\n' + "".join(_read_asset(name) for name in _SCRIPTS),
        "data": _to_json(columns),
    }
    texts["policy"] = _security_policy(texts)
    return re.sub(r"\{\{([a-z.]+)\}\}", lambda found: texts[found[1]], _read_asset("page.html"))


def _leaflet_script() -> str:
    return f"/*\n{_leaflet().read_text('LICENSE')}*/\n{_read_leaflet('leaflet.js')}"


def _read_leaflet(name: str) -> str:
    return Path(str(_leaflet().locate_file(_LEAFLET_FILES)), name).read_text("utf-8")


def _leaflet() -> metadata.Distribution:
    try:
        return metadata.distribution(_LEAFLET)
    except metadata.PackageNotFoundError as error:
        raise Misconfigured(
            "the map needs Leaflet, which is not installed. Run pip install 'locapi[map]'."
        ) from error


def _read_asset(name: str) -> str:
    return (resources.files("locapi.map") / "assets" / name).read_text("utf-8")


def _to_json(columns: Columns) -> str:
    """Return the script's data, without a character that could end its HTML element."""
    data = {
        "users": columns.users,
        "tracks": [[track.user, track.first, track.count] for track in columns.tracks],
        "minutes": columns.minutes,
        "names": COLUMNS,
        "scales": SCALES,
        "maxValue": MAX_INT32,
        "maxStep": MAX_STEP,
        "speeds": (UNKNOWN_SPEED, *SPEEDS),
        "tiles": f"{TILES}/{{z}}/{{x}}/{{y}}.png",
        "packed": pack(columns),
    }
    return orjson.dumps(data).decode().replace("<", "\\u003c")


def _security_policy(texts: Mapping[str, str]) -> str:
    """Return a policy that allows the page's own scripts and styles, and the base map's tiles."""
    scripts = " ".join(_hash(texts[name]) for name in ("leaflet.js", "page.js"))
    styles = " ".join(_hash(texts[name]) for name in ("leaflet.css", "page.css"))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; "
        f"img-src data: {TILES}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
