"""The files that are generated from the code."""

import json
from pathlib import Path

import yaml

from ops import alarms, dashboard

DIRECTORY = Path(__file__).parent
_NOTE = "# Generated from ops/alarms.py by `make reference`.\n"


def generated() -> dict[Path, str]:
    """Return the content of each file."""
    rules = yaml.safe_dump(alarms.as_rules(), sort_keys=False, width=1_000)
    return {
        DIRECTORY / "prometheus-rules.yml": _NOTE + rules,
        DIRECTORY / "grafana-dashboard.json": json.dumps(dashboard.as_json(), indent=2) + "\n",
    }
