"""The tables of the pages are those of the code, and links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

from pymongo.database import Database

from locapi.exporters.formats import FORMATS
from locapi.fixes.rules import RULES
from locapi.rollup.fold import fold_new_fixes
from locapi.storage.documents import Document
from tests.conftest import ROOT, Send
from tests.support.pages import PAGES, table

REFERENCE = PAGES["docs/REFERENCE.md"]


def test_generated_parts_of_the_pages_are_current() -> None:
    generate = ["-p", "from docs import reference", "--check", "--diff", "--verbosity", "1"]
    pages = sorted(ROOT.glob("docs/*.md"))
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", *generate, *pages],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"run `make reference`\n{done.stdout}{done.stderr}"


def test_the_fields_of_a_fix_are_those_of_the_rules() -> None:
    assert {row[0].strip("`") for row in table(REFERENCE, "field")} == RULES.keys()


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"[`\n$] ?make ([a-z-]+)", "\n".join(PAGES.values()))
    assert set(named) <= targets


def test_every_package_is_on_the_contributors_map() -> None:
    mapped = {row[0].strip("`") for row in table(PAGES["CONTRIBUTING.md"], "package")}
    packages = {f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("*/*/__init__.py")}
    assert {name for name in packages if name.startswith(("locapi/", "cli/"))} <= mapped


def test_every_link_and_every_path_of_a_file_leads_somewhere() -> None:
    for page, text in PAGES.items():
        for link in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}"
        for path in re.findall(r"`((?:cli|docs|locapi|tests)/[a-z_/]+\.[a-z]+)`", text):
            assert (ROOT / path).exists(), f"{page}: {path}"


def test_the_export_formats_are_those_of_the_code() -> None:
    rows = {name: suffixes for name, suffixes, *_ in table(PAGES["docs/EXPORT.md"], "format")}
    assert {name.strip("`"): tuple(re.findall(r"`(\.\w+)`", rows[name])) for name in rows} == {
        name: form.suffixes for name, form in FORMATS.items()
    }


def test_the_notebook_shows_the_script_that_draws_its_picture(
    db: Database[Document], send: Send, environ: dict[str, str], tmp_path: Path
) -> None:
    script = ROOT / "docs" / "tracks.py"
    shown = re.search(
        r"<!-- docs/tracks.py -->\n```python\n(.*?)```", PAGES["docs/NOTEBOOK.md"], re.DOTALL
    )
    assert shown
    assert script.read_text().endswith(f'"""\n\n{shown[1]}')
    send(user_id="bicycle-01")
    send(user_id="walker-01")
    fold_new_fixes(db)
    subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={**environ, "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "tracks.png").read_bytes().startswith(b"\x89PNG")
