"""The rules for a fix, as a schema for Cerberus.

All numbers of a decoded document are floats; see `strict_json`.
"""

from typing import Any

TIMESTAMP = (
    "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r" (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
)
UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"  # control characters and lone surrogates


def _number(**bounds: float) -> dict[str, Any]:
    # min and max let NaN pass, and infinity where there is no max.
    return {"type": "number", "check_with": "finite", **bounds}


# Cerberus ends a pattern with $, which matches before a newline too; \Z does not.
RULES: dict[str, dict[str, Any]] = {
    "timestamp": {"type": "string", "regex": rf"{TIMESTAMP}\Z", "check_with": "calendar_date"},
    "lat": _number(min=-90, max=90),
    "long": _number(min=-180, max=180),
    "accuracy": _number(min=0),
    "speed": _number(min=0),
    "user_id": {
        "type": "string",
        "minlength": 1,
        "maxlength": 128,
        "regex": rf"[^{UNPRINTABLE}]*\Z",
    },
}
