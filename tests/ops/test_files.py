"""Other programs accept the files of `ops/`."""

from tests.conftest import ROOT
from tests.support.prometheus import RULES, check


def test_prometheus_accepts_the_rules() -> None:
    check("promtool", "check", "rules", RULES)


def test_the_manifest_matches_the_schemas_of_kubernetes() -> None:
    manifest = ROOT / "ops" / "kubernetes.yaml"
    check("kubernetes-validate", "--strict", "-k", "1.33", manifest)
