"""The metrics as the product declares them, for the tables and the dashboard."""

from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from locapi.monitoring.backlog import Stored
from locapi.monitoring.metrics import Metrics, choose_page

_SUFFIXES = {"counter": "_total"}  # which the parser takes off a name
_OF_BUCKETS = "le"


class Metric(NamedTuple):
    """A metric's name, its type and labels, and what it means."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str


def declared() -> list[Metric]:
    """Return all metrics of `GET /metrics`, in the order of the page."""
    page = choose_page(Metrics().pages(Stored(1, 1, 1.0, 1.0, 0)), "")
    families = text_string_to_metric_families(page.content.decode())
    return [
        Metric(
            family.name + _SUFFIXES.get(family.type, ""),
            family.type,
            tuple(name for name in family.samples[0].labels if name != _OF_BUCKETS),
            family.documentation,
        )
        for family in families
    ]
