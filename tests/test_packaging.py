"""The wheel holds what it takes, and works far from the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in ("locapi", "cli"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
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


def test_the_wheel_holds_the_modules_with_their_pages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        held = {name for name in files.namelist() if ".dist-info/" not in name}
    wanted = {
        str(path.relative_to(ROOT))
        for name in ("locapi", "cli")
        for path in (ROOT / name).rglob("*.py")
    }
    wanted |= {str(path.relative_to(ROOT)) for path in (ROOT / "locapi" / "pages").glob("*/*")}
    assert held == wanted


def test_locctl_runs_from_the_wheel_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    run(tmp_path, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel)
    environ = {
        "PYTHONPATH": str(site),
        "LOCAPI_DATA_DIR": str(tmp_path / "data"),
        "MONGODB_URI": "",
    }
    where = "import cli, locapi; print(cli.__file__, locapi.__file__)"
    assert run(tmp_path, "-c", where, **environ).split() == [
        str(site / "cli" / "__init__.py"),
        str(site / "locapi" / "__init__.py"),
    ]
    locctl = site / "bin" / "locctl"
    assert run(tmp_path, locctl, "--version", **environ).startswith("locctl, version 0.1.0")
    run(tmp_path, locctl, "rollup", **environ)
    header = "user_id,minute,lat,long,accuracy,speed,count\n"
    assert run(tmp_path, locctl, "export", **environ) == header
