"""Check the Host header, so that no page in a browser reaches an API without authentication.

With DNS rebinding, a page's own host name resolves to this machine, and the browser lets the page
send requests here. Their Host header still has the page's host name.
"""

import ipaddress
import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from locapi.settings import ANY_HOST, Settings

_PORT = re.compile(r":[0-9]*\Z")


def make_check(settings: Settings) -> Callable[[str | None], bool] | None:
    """Return the function that says whether a Host header is allowed; None if every one is."""
    extra = settings.allowed_hosts or frozenset()
    if settings.auth != "off" or ANY_HOST in extra:
        return None

    @lru_cache(maxsize=64)
    def is_allowed(header: str | None) -> bool:
        if header is None:  # browsers always send one
            return True
        name = _PORT.sub("", header).strip("[]").rstrip(".").lower()
        return name in extra or _is_loopback(name)

    return is_allowed


def _is_loopback(name: str) -> bool:
    with suppress(ValueError):
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    return False
