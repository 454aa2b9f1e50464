"""The book: the course with its outputs, the package's pages and its reference (`make book`).

Sphinx reads the whole repository, so that links between pages are those that GitHub follows.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]

project, author, copyright = "sgi2v_lab", "sgi2v_lab contributors", "sgi2v_lab contributors"
extensions = [
    *("myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"),
    *("sphinxcontrib.bibtex", "sphinx-mathjax-offline"),
]
root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/[0-9][0-9]_*.py", "*.md", "notebooks/*.md", "sgi2v_lab/**.md"]
exclude_patterns = ["docs/*.py"]

nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "build" / "book-cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 900  # seconds for one cell, on a busy machine
nb_merge_streams = True
nb_ipywidgets_js = {}  # widgets.js draws them, without a network
myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 4
bibtex_bibfiles = ["references.bib"]

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False}
autodoc_preserve_defaults = True

html_theme = "sphinx_book_theme"
html_title = "sgi2v_lab"
html_theme_options = {"show_toc_level": 2, "use_download_button": False, "use_fullscreen_button": False}
html_static_path = ["static"]
html_css_files = ["book.css"]
html_js_files = ["widgets.js"]
html_extra_path = ["redirect"]
html_show_sourcelink = False

FOLDED = ' tags=["hide-input"] mystnb={{"code_prompt_show": "Show the {0}", "code_prompt_hide": "Hide the {0}"}}'


def for_readers(app: Sphinx, name: str, source: list[str]) -> None:
    """A chapter's solutions and checks are folded, its claims left out, and its papers cited."""
    text = source[0]
    if re.match(r"notebooks/\d", name):
        text = text.replace('# %% tags=["claim"]', '# %% tags=["remove-cell"]')
        text = re.sub(r'^# %% nbgrader=.*"solution": true.*', r"\g<0>" + FOLDED.format("solution"), text, flags=re.M)
        text = re.sub(r'^# %% nbgrader=.*"grade": true.*', r"\g<0>" + FOLDED.format("check"), text, flags=re.M)
        text = re.sub(r"^ *### (BEGIN|END) SOLUTION\n", "", text, flags=re.M)
        text = re.sub(r"^(# .*)\barXiv (\d{4}\.\d{5})", r"\1arXiv \2 {cite}`\2`", text, flags=re.M)
    source[0] = text


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", for_readers)
