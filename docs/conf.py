"""Build the pages as a site: the same Markdown that GitHub shows, and nothing from elsewhere."""

from sphinx.application import Sphinx

# Title → the pages under it. Sphinx fails if one is missing here or in the checkout.
CHAPTERS = {
    "Begin": ["docs/TUTORIAL"],
    "Use": [
        "docs/REFERENCE",
        "docs/COMMANDS",
        "docs/COMMANDS_DATA",
        "docs/IMPORT",
        "docs/EXPORT",
        "docs/NOTEBOOK",
        "docs/MAP",
        "docs/MOBILE",
        "docs/MOBILE_CODE",
        "docs/HTTP",
    ],
    "Operate": [
        "docs/OPERATIONS",
        "docs/DEPLOYMENT",
        "docs/BACKUP",
        "docs/SCALING",
        "docs/MIGRATION",
        "docs/PERFORMANCE",
        "SECURITY",
    ],
    "Understand": ["docs/EXACTNESS", "docs/DESIGN", "docs/GLOSSARY", "docs/adr/README"],
    "Contribute": ["CONTRIBUTING", "CHANGELOG"],
}

project = "locapi"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/adr/*.md"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
suppress_warnings = [
    "myst.header",  # SECURITY.md, as GitHub wants it, has its own order
    "misc.highlighting_failure",  # the lexer for consoles does not know quotes of several lines
]
html_theme = "furo"
html_title = "locapi"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "default"


def _toctree(*lines: str) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", *lines, "```", ""])


def _add_toctree(_app: Sphinx, name: str, source: list[str]) -> None:
    if name == root_doc:
        for title, pages in CHAPTERS.items():
            source[0] += _toctree(f":caption: {title}", "", *pages)
    elif name == "docs/adr/README":
        source[0] += _toctree(":glob:", "", "0*")


def setup(app: Sphinx) -> None:
    """Add the site's navigation, which GitHub has no use for, to the pages."""
    app.connect("source-read", _add_toctree)
