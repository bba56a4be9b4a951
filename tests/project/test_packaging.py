"""The wheel is complete and works outside the checkout; the locks and groups match pyproject."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest

from tests.conftest import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in ("locapi", "cli"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(source, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "dist", ".")
    (built,) = (source / "dist").iterdir()
    return built


def run(directory: Path, *arguments: str | Path, **environ: str) -> str:
    """Run Python in a directory and return its standard output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environ},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_two_packages_the_license_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        names = set(files.namelist())
    assert f"locapi-{PYPROJECT['project']['version']}.dist-info/licenses/LICENSE" in names
    assert {name for name in names if ".dist-info/" not in name} == {
        str(path.relative_to(root))
        for root, name in ((ROOT, "locapi"), (ROOT / "cli", "locctl"))
        for path in (root / name).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_locctl_runs_from_the_wheel_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    run(tmp_path, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel)
    environ = {"PYTHONPATH": str(site), "LOCAPI_DATA_DIR": str(tmp_path / "data")}
    where = "import locctl, locapi; print(locctl.__file__, locapi.__file__)"
    assert run(tmp_path, "-c", where, **environ).split() == [
        str(site / "locctl" / "__init__.py"),
        str(site / "locapi" / "__init__.py"),
    ]
    locctl = site / "bin" / "locctl"
    assert run(tmp_path, locctl, "--version", **environ).startswith("locctl, version 0.1.0")
    run(tmp_path, locctl, "rollup", **environ)
    header = "user_id,minute,lat,long,accuracy,speed,count\n"
    assert run(tmp_path, locctl, "export", **environ) == header


def test_a_development_checkout_gets_what_the_extras_install() -> None:
    groups = PYPROJECT["dependency-groups"]
    extras = PYPROJECT["project"]["optional-dependencies"]
    assert sorted(groups["extras"]) == sorted(chain.from_iterable(extras.values()))
    assert {"include-group": "extras"} in groups["dev"]


@pytest.mark.parametrize("path", ["requirements.txt", "requirements-dev.txt"])
def test_a_lock_names_versions_and_hashes_and_no_address(path: str) -> None:
    lock = (ROOT / path).read_text()
    assert not re.search(r"://|^-", lock, re.MULTILINE)
    for requirement in re.split(r"\n(?=\S)", lock.strip()):
        assert re.match(r"[a-z0-9-]+==\S+( ;.*)? \\\n    --hash=sha256:", requirement)
