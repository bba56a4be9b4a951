"""One HTML page that shows tracks: Leaflet, our own script and the minutes, all inlined."""

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path

import orjson

from locapi.errors import Misconfigured
from locapi.tracks import COLUMNS, GAP_MINUTES, GREATEST, SCALES, Tracks, packed

TILES = "https://tile.openstreetmap.org"
_LEAFLET = "django-js-lib-leaflet"  # of Django it needs nothing; it is just files
_LEAFLET_FILES = "js_lib_leaflet/static/js_lib_leaflet"
_SCRIPTS = ("minutes.js", "grid.js", "layers.js", "parts.js", "page.js")

# From so many metres a second on. The colours are viridis, in six even steps of lightness:
# told apart by every kind of colour vision, and in grey.
SPEEDS = (
    (0, "#440154"),
    (0.5, "#414487"),
    (2, "#2a788e"),
    (7, "#22a884"),
    (20, "#7ad151"),
    (70, "#fde725"),
)


def render(tracks: Tracks) -> str:
    """Return the page; the same for the same tracks.

    Raises Misconfigured where Leaflet is not installed.
    """
    texts = {
        "leaflet.css": _leaflet("leaflet.css"),
        "page.css": _own("page.css"),
        "leaflet.js": _leaflet_script(),
        "page.js": '"use strict";\n' + "".join(_own(name) for name in _SCRIPTS),
        "data": _as_json(tracks),
    }
    return _filled(_own("page.html"), {**texts, "policy": _policy(texts)})


def _leaflet_script() -> str:
    return f"/*\n{_installed().read_text('LICENSE')}*/\n{_leaflet('leaflet.js')}"


def _leaflet(name: str) -> str:
    return Path(str(_installed().locate_file(_LEAFLET_FILES)), name).read_text("utf-8")


def _installed() -> metadata.Distribution:
    try:
        return metadata.distribution(_LEAFLET)
    except metadata.PackageNotFoundError as error:
        raise Misconfigured(
            "the map needs Leaflet, which is not installed: pip install 'locapi[map]'"
        ) from error


def _own(name: str) -> str:
    return (resources.files("locapi") / "pages" / "map" / name).read_text("utf-8")


def _as_json(tracks: Tracks) -> str:
    """Return what the script reads, without a character that could end its element."""
    data = {
        "users": tracks.users,
        "tracks": [[track.user, track.first, track.count] for track in tracks.tracks],
        "minutes": tracks.minutes,
        "names": COLUMNS,
        "scales": SCALES,
        "greatest": GREATEST,
        "gap": GAP_MINUTES,
        "speeds": SPEEDS,
        "tiles": f"{TILES}/{{z}}/{{x}}/{{y}}.png",
        "packed": packed(tracks),
    }
    return orjson.dumps(data).decode().replace("<", "\\u003c")


def _policy(texts: Mapping[str, str]) -> str:
    """Return the policy by which nothing runs but these scripts, and only tiles are fetched."""
    scripts = " ".join(_hash(texts[name]) for name in ("leaflet.js", "page.js"))
    styles = " ".join(_hash(texts[name]) for name in ("leaflet.css", "page.css"))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; "
        f"img-src data: {TILES}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _filled(page: str, texts: Mapping[str, str]) -> str:
    return re.sub(r"\{\{([a-z.]+)\}\}", lambda found: texts[found[1]], page)
