"""`POST /owntracks`: the HTTP mode of the app OwnTracks, one message a request."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import request

from locapi.api import batches, phone_apps
from locapi.api.phone_apps import Sent
from locapi.api.responses import ApiResponse
from locapi.errors import InvalidFix
from locapi.fixes import strict_json
from locapi.fixes.display import format_fault
from locapi.fixes.faults import invalid_fix

_KM_H = 1 / 3.6  # in metres a second
_ENCRYPTED = "must not be encrypted (turn off encryption in the app)"
_NO_TYPE = "must be a text such as location"
_USER_NAME = "X-Limit-U"
_NOT_ASCII = "must be ASCII (put the user into the URL, percent-encoded: ?user=jos%C3%A9)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def post_owntracks() -> ApiResponse:
    """Store a message of type location; other messages are answered alike."""
    user_id = phone_apps.user_id() or _user_name()
    body = batches.read_body()
    if body.strip():
        phone_apps.keep("owntracks", _sent(body, user_id))
    # An array: newer versions of the app for Android queue a message for ever after an object.
    return ApiResponse("[]", content_type="application/json")


def _user_name() -> str | None:
    """Return the user name that is set in the app."""
    name = request.headers.get(_USER_NAME)
    if name and not name.isascii():  # Granian does not provide it
        raise invalid_fix({_USER_NAME: [_NOT_ASCII]})
    return name


def _sent(body: bytes, user_id: Any) -> list[Sent]:
    try:
        message = strict_json.decode(body)
    except InvalidFix as error:
        return [Sent(body, user_id, error)]
    user_id = user_id or _own_user(message)
    match message.get("_type"):
        case "location":
            return [Sent(body, user_id, _fields(message, user_id))]
        case "encrypted":  # perhaps a location
            return [Sent(body, user_id, invalid_fix({"_type": [_ENCRYPTED]}))]
        case str():
            return []
        case other:
            fault = invalid_fix({"_type": [format_fault(_NO_TYPE, other)]})
            return [Sent(body, user_id, fault)]


def _fields(message: dict[str, Any], user_id: Any) -> dict[str, Any]:
    speed = message.get("vel")
    return {
        "timestamp": _time(message.get("tst")),
        "lat": message.get("lat"),
        "long": message.get("lon"),
        "accuracy": message.get("acc"),
        "speed": speed * _KM_H if isinstance(speed, float) else speed,
        "user_id": user_id,
    }


def _own_user(message: dict[str, Any]) -> Any:
    """Return the user of the topic `owntracks/USER/DEVICE`, or the tracker's two letters."""
    topic = message.get("topic")
    parts = topic.split("/") if isinstance(topic, str) else []
    return parts[1] if len(parts) > 2 else message.get("tid")


def _time(seconds: Any) -> Any:
    if not isinstance(seconds, float):  # as every JSON number is
        return seconds
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return seconds
