"""The dashboard, as Grafana imports it."""

from typing import Any, NamedTuple

_COLUMNS, _WIDTH, _HEIGHT = 2, 12, 8  # Grafana's grid has 24 units in a row
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Query(NamedTuple):
    """A query in PromQL, and the name of its lines."""

    expression: str
    legend: str


class Panel(NamedTuple):
    """A graph over time."""

    title: str
    unit: str  # one of Grafana's
    queries: tuple[Query, ...]


def _quantile(share: str) -> str:
    buckets = 'locapi_answer_seconds_bucket{verdict=~"stored|duplicate"}'
    return f"histogram_quantile({share}, sum by (le) (rate({buckets}[$__rate_interval])))"


PANELS = (
    Panel(
        "Responses a second",
        "reqps",
        (Query("sum by (verdict) (rate(locapi_answers_total[$__rate_interval]))", "{{verdict}}"),),
    ),
    Panel(
        "Fixes a second that did not come by PUT /location",
        "short",
        (
            Query(
                "sum by (endpoint, status) (rate(locapi_batch_results_total[$__rate_interval]))",
                "{{endpoint}} {{status}}",
            ),
        ),
    ),
    Panel(
        "Responses with code 500 a second",
        "reqps",
        (
            Query(
                'sum by (verdict) (rate(locapi_answers_total{code="500"}[$__rate_interval]))',
                "{{verdict}}",
            ),
        ),
    ),
    Panel(
        "Time to store a fix",
        "s",
        (Query(_quantile("0.5"), "median"), Query(_quantile("0.99"), "99 %")),
    ),
    Panel(
        "Fixes in a group commit",
        "short",
        (
            Query(
                "sum(rate(locapi_batch_fixes_sum[$__rate_interval]))"
                " / sum(rate(locapi_batch_fixes_count[$__rate_interval]))",
                "mean",
            ),
            Query("sum(locapi_waiting_fixes)", "waiting for the next"),
        ),
    ),
    Panel(
        "Database",
        "bool_on_off",
        (Query("locapi_database_up", "{{instance}}"),),
    ),
    Panel(
        "Workers",
        "short",
        (Query("locapi_workers", "{{instance}}"),),
    ),
    Panel(
        "Roll-up",
        "s",
        (
            Query("max(locapi_rollup_lag_seconds)", "lag"),
            Query("max(locapi_rollup_duration_seconds)", "duration"),
        ),
    ),
    Panel(
        "Stored",
        "short",
        (Query("max(locapi_raw_fixes)", "raw fixes"), Query("max(locapi_minutes)", "minutes")),
    ),
    Panel(
        "Minutes in quarantine",
        "short",
        (Query("max(locapi_quarantined_minutes)", "minutes"),),
    ),
    Panel(
        "Versions",
        "short",
        (Query("count by (version) (locapi_build_info)", "{{version}}"),),
    ),
)


def as_json() -> dict[str, Any]:
    """Return the dashboard's document."""
    return {
        "uid": "locapi",
        "title": "locapi",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                }
            ]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _DATASOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _DATASOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for place, query in enumerate(panel.queries)
        ],
    }
