"""For schemathesis: what is certainly valid or invalid, where JSON Schema cannot express it.

The endpoints for several fixes accept every body that they can read, and report each fix apart. So
no body is invalid there, whatever the schema describes.
"""

import os
from typing import Any

import schemathesis

A_TIME = {"enum": ["2017-01-01", "2017-01-01T18:05:00Z"]}
NARROWED = {"since": A_TIME, "until": A_TIME, "resolution": {"enum": ["5m", "1h", "1d"]}}

if os.environ["FUZZ_MODE"] == "positive":

    @schemathesis.hook
    def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
        timestamp = raw_schema["components"]["schemas"]["Fix"]["properties"]["timestamp"]
        assert timestamp["pattern"].startswith("^[0-9]{4}-")
        timestamp["pattern"] = (
            "^(19[89][0-9]|20[01][0-9])-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
            r" ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?$"
        )
        for operations in raw_schema["paths"].values():
            for operation in operations.values():
                _narrow(operation.get("parameters", []))

else:

    @schemathesis.hook
    def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
        for path in ("/locations", "/overland", "/owntracks"):
            del raw_schema["paths"][path]["post"]["requestBody"]


def _narrow(parameters: list[dict[str, Any]]) -> None:
    """Leave only valid values, and no parameter that excludes others."""
    parameters[:] = [each for each in parameters if each["name"] != "changed_since"]
    for each in parameters:
        each["schema"] = NARROWED.get(each["name"], each["schema"])
