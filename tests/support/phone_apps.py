"""Clients that behave as two phone apps do: they keep what was not confirmed and send it again."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

Post = Callable[[str, bytes, dict[str, str]], tuple[int, bytes] | None]  # None: no response in time


class OwnTracks:
    """Send the oldest message again until it is answered 2xx with a JSON array, then the next.

    So the app for Android does; versions differ in what they take for an answer.
    """

    def __init__(self, post: Post, token: str = "", **headers: str) -> None:
        self.post, self.queue = post, list[bytes]()
        basic = b64encode(f"ann:{token}".encode()).decode()
        self.headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Owntracks-Android/gms/420508000",
            "X-Limit-D": "phone",
            **({"Authorization": f"Basic {basic}"} if token else {}),
            **headers,
        }

    def publish(self, message: Any) -> None:
        self.queue.append(message if isinstance(message, bytes) else json.dumps(message).encode())

    def send(self) -> bool:
        """Try to send what is queued; return whether the queue is empty now."""
        while self.queue:
            response = self.post("/owntracks", self.queue[0], self.headers)
            if response is None or not 200 <= response[0] < 300:
                return False
            if not isinstance(json.loads(response[1] or b"[]"), list):
                return False
            self.queue.pop(0)
        return True


class Overland:
    """Send the oldest features in a batch until the result is ok, then the next batch.

    While more are queued than a batch takes, the newest one is sent beside each batch, too.
    """

    def __init__(self, post: Post, token: str = "", batch: int = 1_000, query: str = "") -> None:
        self.post, self.features, self.batch = post, list[Any](), batch
        self.path = f"/overland{query}"
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def send(self) -> bool:
        """Try to send all features; return whether none is left."""
        while self.features:
            content: dict[str, Any] = {"locations": self.features[: self.batch]}
            if len(self.features) > self.batch:
                content["current"] = self.features[-1]
            response = self.post(self.path, json.dumps(content).encode(), self.headers)
            if response is None or not 200 <= response[0] < 300:
                return False
            if json.loads(response[1]).get("result") != "ok":
                return False
            del self.features[: self.batch]
        return True


def post_to(url: str, timeout_s: float) -> Post:
    """Return a function that sends to a server as the apps do, and takes only JSON from it."""

    def post(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        request = Request(url + path, body, headers, method="POST")
        try:
            with urlopen(request, timeout=timeout_s) as response:
                assert response.headers["Content-Type"] == "application/json"
                return response.status, response.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()
        except TimeoutError:
            return None

    return post


def message(**fields: Any) -> dict[str, Any]:
    """Return a message of OwnTracks with a location, such as the app for Android sends."""
    return {
        "_type": "location",
        "BSSID": "aa:bb",
        "SSID": "home",
        "acc": 13,
        "alt": 154,
        "batt": 71,
        "bs": 1,
        "cog": 270,
        "conn": "w",
        "created_at": 1483293915,
        "lat": 40.7,
        "lon": -74.0,
        "m": 1,
        "t": "u",
        "tid": "ph",
        "topic": "owntracks/ann/phone",
        "tst": 1483293912,
        "vac": 3,
        "vel": 36,
        **fields,
    }


def feature(second: int = 12, **properties: Any) -> dict[str, Any]:
    """Return a feature of Overland, such as the app sends."""
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [-74.0, 40.7]},
        "properties": {
            "timestamp": f"2017-01-01T18:05:{second:02}Z",
            "altitude": 10,
            "speed": -1,
            "course": -1,
            "horizontal_accuracy": 30,
            "vertical_accuracy": -1,
            "speed_accuracy": -1,
            "course_accuracy": -1,
            "motion": ["walking"],
            "pauses": False,
            "activity": "other_navigation",
            "desired_accuracy": 100,
            "tracking_mode": 1,
            "locations_in_payload": 1,
            "battery_state": "charging",
            "battery_level": 0.8,
            "wifi": "home",
            "device_id": "ann",
            **properties,
        },
    }
