"""For schemathesis: what is valid by the pattern must also be a date, and in the past."""

import os
from typing import Any

import schemathesis

if os.environ["FUZZ_MODE"] == "positive":

    @schemathesis.hook
    def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
        """Narrow the timestamps to a range in which every one is a fix's."""
        timestamp = raw_schema["components"]["schemas"]["Fix"]["properties"]["timestamp"]
        assert timestamp["pattern"].startswith("^[0-9]{4}-")
        timestamp["pattern"] = (
            "^(19[89][0-9]|20[01][0-9])-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
            r" ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?$"
        )
