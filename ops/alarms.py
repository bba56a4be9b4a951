"""The alarms: a condition in PromQL, how long it has to hold, and whom it alerts."""

from typing import Any, Literal, NamedTuple

JOB = "locapi"  # the name of Prometheus' scrape job
RUNBOOK = "docs/OPERATIONS.md"


class Alarm(NamedTuple):
    """An alarm; docs/OPERATIONS.md has a section of the same name that says what to do."""

    name: str
    metric: str  # beside which docs/OPERATIONS.md lists it
    expression: str  # in PromQL
    lasts: str  # how long it has to hold, in PromQL's form
    severity: Literal["page", "ticket"]  # page: now, also at night; ticket: this week
    summary: str  # with Prometheus' templates


ALARMS = (
    Alarm(
        "LocapiDown",
        "locapi_build_info",
        f'up{{job="{JOB}"}} == 0 or absent(up{{job="{JOB}"}})',
        "2m",
        "page",
        "Prometheus gets no metrics from {{ $labels.instance }}.",
    ),
    Alarm(
        "LocapiDatabaseDown",
        "locapi_database_up",
        "locapi_database_up == 0",
        "1m",
        "page",
        "{{ $labels.instance }} gets no answer from the database.",
    ),
    Alarm(
        "LocapiServerErrors",
        "locapi_answers_total",
        # A request that times out has a slow client, not a failing server.
        'sum(rate(locapi_answers_total{code="500",verdict!="request_timeout"}[2m])) > 0',
        "5m",
        "page",
        "Phones get 500 {{ $value | humanize }} times a second, and keep their fixes.",
    ),
    Alarm(
        "LocapiRollupLags",
        "locapi_rollup_lag_seconds",
        "max(locapi_rollup_lag_seconds) > 300",
        "1m",
        "page",
        "A fix has waited {{ $value | humanizeDuration }} for the roll-up.",
    ),
    Alarm(
        "LocapiInternalErrors",
        "locapi_answers_total",
        'sum(increase(locapi_answers_total{verdict="internal_error"}[1h])) > 0',
        "0m",
        "ticket",
        "The API failed for a reason that does not pass by itself.",
    ),
    Alarm(
        "LocapiSlow",
        "locapi_answer_seconds",
        "histogram_quantile(0.99, sum by (le)"
        ' (rate(locapi_answer_seconds_bucket{verdict=~"stored|duplicate"}[5m]))) > 1',
        "5m",
        "ticket",
        "One fix in a hundred takes longer than {{ $value | humanizeDuration }} to store.",
    ),
    Alarm(
        "LocapiInvalidFixes",
        "locapi_answers_total",
        'sum(rate(locapi_answers_total{verdict="invalid_fix"}[5m]))'
        ' > 0.05 * sum(rate(locapi_answers_total{verdict=~"stored|duplicate|invalid_fix"}[5m]))',
        "5m",
        "ticket",
        "The API refuses {{ $value | humanize }} fixes a second as invalid.",
    ),
    Alarm(
        "LocapiRejects",
        "locapi_batch_results_total",
        # An hour, because a phone that stands still sends a few fixes an hour.
        'sum by (endpoint) (increase(locapi_batch_results_total{status="invalid"}[1h]))'
        " / sum by (endpoint) (increase(locapi_batch_results_total[1h])) > 0.05",
        "5m",
        "ticket",
        "{{ $value | humanizePercentage }} of the fixes sent to /{{ $labels.endpoint }}"
        " are invalid.",
    ),
    Alarm(
        "LocapiQuarantine",
        "locapi_quarantined_minutes",
        "max(locapi_quarantined_minutes) > 0",
        "5m",
        "ticket",
        "The roll-up cannot fold {{ $value | humanize }} minutes and leaves them out.",
    ),
)


def as_rules() -> dict[str, Any]:
    """Return the document of Prometheus' rules file."""
    return {"groups": [{"name": JOB, "rules": [_as_rule(alarm) for alarm in ALARMS]}]}


def _as_rule(alarm: Alarm) -> dict[str, Any]:
    return {
        "alert": alarm.name,
        "expr": alarm.expression,
        "for": alarm.lasts,
        "labels": {"severity": alarm.severity},
        "annotations": {"summary": alarm.summary, "runbook": f"{RUNBOOK}#{alarm.name.lower()}"},
    }
