"""`POST /overland`: the app Overland for iOS, a batch of GeoJSON features a request."""

from typing import Any

from locapi.api import batches, phone_apps
from locapi.api.phone_apps import Sent
from locapi.api.responses import ApiResponse
from locapi.errors import InvalidFix
from locapi.fixes import strict_json
from locapi.fixes.display import format_fault
from locapi.fixes.faults import invalid_fix


def post_overland() -> ApiResponse:
    """Store the features that are locations."""
    user_id = phone_apps.user_id()
    body = batches.read_body()
    phone_apps.keep("overland", _sent(body, user_id))
    # The app deletes its batch only after exactly this result.
    return ApiResponse('{"result":"ok"}', content_type="application/json")


def _sent(body: bytes, user_id: Any) -> list[Sent]:
    try:
        features = strict_json.decode(body).get("locations")
        if not isinstance(features, list):
            raise InvalidFix("the body has no array named locations")
    except InvalidFix as fault:
        return [Sent(body, user_id, fault)]
    batches.check_count(features)
    return [_as_sent(each, user_id) for each in features if not _is_action_or_trip(each)]


def _is_action_or_trip(feature: Any) -> bool:
    """Return whether a feature has the position of an earlier fix, at a time of its own."""
    properties = _properties(feature) if isinstance(feature, dict) else {}
    return "action" in properties or properties.get("type") == "trip"


def _as_sent(feature: Any, user_id: Any) -> Sent:
    if not isinstance(feature, dict):
        return Sent(feature, user_id, strict_json.not_an_object(feature, "the feature"))
    user_id = user_id or _properties(feature).get("device_id")
    return Sent(feature, user_id, _fields(feature, user_id))


def _fields(feature: dict[str, Any], user_id: Any) -> dict[str, Any] | InvalidFix:
    geometry, properties = feature.get("geometry"), _properties(feature)
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        return invalid_fix({"geometry": [format_fault("must be a point", geometry)]})
    position = geometry.get("coordinates")
    long, lat = position[:2] if isinstance(position, list) and len(position) > 1 else (None, None)
    return {
        "timestamp": properties.get("timestamp"),
        "lat": lat,
        "long": long,
        "accuracy": properties.get("horizontal_accuracy"),
        "speed": properties.get("speed"),
        "user_id": user_id,
    }


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}
