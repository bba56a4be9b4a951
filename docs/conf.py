"""How the pages become a site: the same Markdown that GitHub shows, nothing from elsewhere."""

from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
# Title → the pages under it; a page that stands in none comes under the last.
CHAPTERS = {
    "Begin": ["TUTORIAL"],
    "Use": ["IMPORT", "EXPORT", "NOTEBOOK", "MAP", "MOBILE", "HTTP"],
    "Operate": ["OPERATIONS", "SCALING", "MIGRATION", "PERFORMANCE", "../SECURITY"],
    "Understand": ["EXACTNESS", "DESIGN", "../CHANGELOG"],
}

project = "locapi"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]  # SECURITY.md, as GitHub wants it, has its own order
html_theme = "furo"
html_title = "locapi"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "default"


def toctree() -> str:
    """Return the pages that are there, by chapters, as the site's navigation."""
    chapters = {title: list(pages) for title, pages in CHAPTERS.items()}
    placed = {page for pages in chapters.values() for page in pages}
    there = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
    chapters["Understand"] += [page for page in there if page not in placed]
    blocks = []
    for title, pages in chapters.items():
        found = [f"docs/{page}" for page in pages if (ROOT / "docs" / f"{page}.md").exists()]
        if found:
            names = "\n".join(found).replace("docs/../", "")
            blocks.append(f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n{names}\n```\n")
    return "\n".join(blocks)


def _add_toctree(_app: Sphinx, name: str, source: list[str]) -> None:
    if name == root_doc:
        source[0] += "\n" + toctree()


def setup(app: Sphinx) -> None:
    """Give the README its place at the head."""
    app.connect("source-read", _add_toctree)
