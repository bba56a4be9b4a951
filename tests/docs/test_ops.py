"""The files of `ops/` are current, and the alarms and graphs cover the metrics."""

import re

from ops import files, metrics
from ops.alarms import ALARMS
from ops.dashboard import PANELS
from tests.conftest import ROOT
from tests.support.pages import PAGES


def test_generated_files_are_current() -> None:
    for path, text in files.generated().items():
        assert path.read_text() == text, "run `make reference`"


def test_manual_says_what_to_do_about_each_alarm() -> None:
    headings = re.findall(r"^### (Locapi\w+)$", PAGES["docs/OPERATIONS.md"], re.MULTILINE)
    assert headings == [alarm.name for alarm in ALARMS]


def test_each_metric_has_a_graph_and_no_other_is_named() -> None:
    names = {metric.name for metric in metrics.declared()}
    parts = [f"{name}_{part}" for name in names for part in ("bucket", "count", "sum")]
    graphs = " ".join(query.expression for panel in PANELS for query in panel.queries)
    alarms = " ".join(alarm.expression for alarm in ALARMS)
    graphed = set(re.findall(r"locapi_\w+", graphs))
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in graphed} == names
    assert set(re.findall(r"locapi_\w+", alarms)) <= {*names, *parts}
    assert {alarm.metric for alarm in ALARMS} <= names


def test_kubernetes_runs_this_version() -> None:
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    manifest = (ROOT / "ops" / "kubernetes.yaml").read_text()
    assert version
    assert set(re.findall(r"image: REGISTRY/locapi:(.*)", manifest)) == {version[1]}
