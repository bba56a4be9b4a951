"""A real Prometheus that scrapes a real API, with the alarms of `ops/` and a faster clock."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.conftest import ROOT, free_port
from tests.support.pages import PAGES, between
from tests.support.processes import Process, until

RULES = ROOT / "ops" / "prometheus-rules.yml"
MINUTE_S = 4  # what a minute in the rules takes here
SCRAPE_S = 3  # longer than a page takes without the database


class Prometheus:
    """What a running Prometheus knows."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        """Return whether it has read its configuration and its data."""
        try:
            with urlopen(f"{self._url}/-/ready", timeout=30):
                return True
        except OSError:  # it does not listen, or says that it is not ready
            return False

    def firing(self) -> set[str]:
        """Return the names of the alarms that fire."""
        alerts = self._get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def query(self, expression: str) -> list[Any]:
        """Return the results of a query."""
        results: list[Any] = self._get("query", query=expression)["result"]
        return results

    def _get(self, path: str, **parameters: str) -> Any:
        with urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as response:
            return json.load(response)["data"]


@contextmanager
def watching(directory: Path, target: str) -> Iterator[Prometheus]:
    """Run Prometheus, configured as docs/DEPLOYMENT.md says, until the end of the block."""
    port = free_port()
    config = directory / "prometheus.yml"
    config.write_text(yaml.safe_dump(_documented_config(target)))
    (directory / RULES.name).write_text(faster(RULES.read_text()))
    process = Process(
        "prometheus",
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        directory,
    )
    process.start()
    try:
        prometheus = Prometheus(port)
        until(lambda: bool(process.pid) and prometheus.is_ready())
        yield prometheus
    finally:
        process.discard()


def _documented_config(target: str) -> dict[str, Any]:
    block = between(PAGES["docs/DEPLOYMENT.md"], "scrape")
    config: dict[str, Any] = yaml.safe_load(block.removeprefix("```yaml\n").removesuffix("```\n"))
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    config["global"] = {
        "scrape_interval": f"{SCRAPE_S}s",
        "scrape_timeout": f"{SCRAPE_S}s",
        "evaluation_interval": "1s",
    }
    return config


def faster(rules: str) -> str:
    """Return the rules with shorter times: windows, and how long an alarm has to hold."""
    rules = re.sub(r"\b(\d+)h\b", lambda hours: f"{60 * int(hours[1])}m", rules)
    return re.sub(r"\b(\d+)m\b", lambda minutes: f"{MINUTE_S * int(minutes[1])}s", rules)


def check(*command: str | Path) -> None:
    """Run a checker, and fail with what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
