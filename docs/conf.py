"""The book: the course with its outputs, the package's pages and its reference (`make book`).

Sphinx reads the whole repository, so that links between pages are those that GitHub follows.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from sgi2v_lab.settings import Settings

ROOT = Path(__file__).parents[1]
# the stages, what the chapters use beside them, and wherever a public name is defined: each has a page of the reference
STUB = (ROOT / "sgi2v_lab" / "__init__.pyi").read_text(encoding="utf-8")
NAMED = {name.replace(".", "/") for name in re.findall(r"^from \.(\S+) import", STUB, re.M)} | {"plots", "widgets"}
MODULES = [f"sgi2v_lab/{name}{end}.py" for name in sorted(NAMED) for end in ("", "/__init__")]
MODULES += ["sgi2v_lab/[a-z]*.py", "sgi2v_lab/course/[a-z]*.py"]


def hyperparameters() -> str:
    """A table of the fields of `Settings`, as the package states them."""
    rows = ["| symbol | field | default | what it is |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        symbol = field.json_schema_extra["symbol"]
        rows.append(f"| {symbol} | `{name}` | `{field.default}` | {field.description} |")
    return "\n".join(rows)


project, author, copyright = "sgi2v_lab", "sgi2v_lab contributors", "sgi2v_lab contributors"
extensions = [
    *("myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"),
    *("sphinxcontrib.bibtex", "sphinx-mathjax-offline"),
]
root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/[0-9][0-9]_*.py", "*.md", "notebooks/*.md", "sgi2v_lab/**.md", *MODULES]
exclude_patterns = ["docs/*.py"]

nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "build" / "book-cache")
nb_execution_excludepatterns = [f"sgi2v_lab{each}" for each in ("/*", "/*/*", "/*/*/*")]  # modules
nb_execution_show_tb = True
nb_execution_timeout = 900  # seconds for one cell, on a busy machine
nb_merge_streams = True
nb_render_markdown_format = "myst"  # of outputs: with tables
nb_ipywidgets_js = {}  # book.js draws them, without a network
myst_enable_extensions = ["amsmath", "deflist", "dollarmath", "substitution"]
myst_substitutions = {"hyperparameters": hyperparameters()}
myst_heading_anchors = 4
bibtex_bibfiles = ["references.bib"]

autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "model_config"}  # pydantic's
autodoc_preserve_defaults = True
highlight_language = "none"  # of commands and formulas; Python is marked as such
default_role = "code"  # docstrings write `names` as Markdown does
napoleon_use_ivar = True
python_maximum_signature_line_length = 90
add_module_names = False
suppress_warnings = ["ref.python"]  # an annotation's "boxes frames 4" is no reference to something called boxes

html_theme = "sphinx_book_theme"
html_title = "sgi2v_lab"
html_theme_options = {"show_toc_level": 2, "use_download_button": False, "use_fullscreen_button": False}
html_static_path = ["static"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_extra_path = ["redirect"]
html_show_sourcelink = False

FOLDED = ' tags=["hide-input"] mystnb={{"code_prompt_show": "Show the {0}", "code_prompt_hide": "Hide the {0}"}}'
DISCUSSION = r"# %% [markdown]\n# <details><summary>Discussion</summary>\n#\n\1#\n# </details>\n"

MODULE = """# %% [markdown]
# # {0}
# ```{{eval-rst}}
# .. automodule:: sgi2v_lab.{0}
#    :members:
# ```
"""


def for_readers(app: Sphinx, name: str, source: list[str]) -> None:
    """Fold a chapter's solutions, leave out predictions and claims, cite its papers; make a page of a module."""
    text = source[0]
    if re.match(r"notebooks/\d", name):
        text = re.sub(r'^# %% tags=\["(claim|prediction)"\]', '# %% tags=["remove-cell"]', text, flags=re.M)
        text = re.sub(r"\*\*Discussion\.\*\* |^# \*Your answer begins here.*\n", "", text, flags=re.M)
        text = re.sub(r'^# %% \[markdown\] tags=\["discussion"\]\n((?:#.*\n)+)', DISCUSSION, text, flags=re.M)
        text = re.sub(r'^# %% nbgrader=.*"solution": true.*', r"\g<0>" + FOLDED.format("solution"), text, flags=re.M)
        text = re.sub(r'^# %% nbgrader=.*"grade": true.*', r"\g<0>" + FOLDED.format("check"), text, flags=re.M)
        text = re.sub(r"^ *### (BEGIN|END) SOLUTION\n", "", text, flags=re.M)
        text = re.sub(r"^(# .*)\barXiv (\d{4}\.\d{5})", r"\1arXiv \2 {cite}`\2`", text, flags=re.M)
    elif name.startswith("sgi2v_lab/") and not name.endswith("README"):
        text = MODULE.format(name.removeprefix("sgi2v_lab/").removesuffix("/__init__").replace("/", "."))
    here = (app.srcdir / name).parent
    source[0] = re.sub(r"(?<=\]\()[\w./-]+(?=\))", lambda link: target(here, link[0], app.env), text)


def target(here: Path, link: str, env: BuildEnvironment) -> str:
    """Where a link leads: to a folder's page, and to the source of a module that has none."""
    path = (here / link).resolve()
    if path.is_dir():
        inside = "README.md" if (path / "README.md").exists() else "__init__.py"
        link, path = f"{link}/{inside}", path / inside
    return f"path:{link}" if path.suffix == ".py" and env.path2doc(path) not in env.found_docs else link


def keep_formulas(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """What a docstring indents after a blank line is a formula or code."""
    for k in reversed(range(2, len(lines))):
        if lines[k].startswith("    ") and not lines[k - 1] and lines[k - 2] and not lines[k - 2].startswith("    "):
            lines[k - 1 : k] = ["", "::", ""]


def without_factories(app: Sphinx, what: str, name: str, thing: object, options: object, *parts: str) -> tuple:
    """`<factory>`, a dataclass's default, is not Python: Sphinx would print the whole signature as it is."""
    return tuple(part and part.replace("<factory>", "...") for part in parts)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", for_readers)
    app.connect("autodoc-process-docstring", keep_formulas, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", without_factories)
