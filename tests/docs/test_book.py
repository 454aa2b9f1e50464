"""The book: chapters show their stage, words and papers are explained, and all pages link to what is there, offline."""

import ast
import importlib.util
import re
import shutil
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CHAPTERS = sorted(ROOT.glob("notebooks/[0-9][0-9]_*.py"))
SVG = "{http://www.w3.org/2000/svg}"


def module(path: Path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded


pipeline = module(DOCS / "pipeline.py")


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


# --- the drawing of the stages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_chapter_shows_its_stage(path):
    first = path.read_text(encoding="utf-8").split("\n# %%")[1]
    (drawing,) = re.findall(r"^# !\[[^\]]{20,}\]\(\.\./docs/pipeline/(\w+)\.svg\)$", first, re.MULTILINE)
    assert pipeline.SUBJECTS[drawing], "no stage is lit"
    assert first.index("docs/pipeline") < first.index("**You will learn**")


def test_every_stage_has_a_chapter():
    shown = re.findall(r"docs/pipeline/(\w+)\.svg", "".join(path.read_text(encoding="utf-8") for path in CHAPTERS))
    alone = {stage for name in {*shown} - {"whole"} for stage in pipeline.SUBJECTS[name]}
    assert alone == {*pipeline.STAGES}


def test_the_drawings_are_those_that_the_program_draws():
    assert {path.stem for path in pipeline.FOLDER.iterdir()} == {*pipeline.SUBJECTS}
    for subject in pipeline.SUBJECTS:
        told = "run python docs/pipeline.py"
        assert (pipeline.FOLDER / f"{subject}.svg").read_text(encoding="utf-8") == pipeline.drawing(subject), told


@pytest.mark.parametrize("subject", pipeline.SUBJECTS)
def test_the_stages_of_a_subject_are_lit(subject):
    drawing = ElementTree.fromstring(pipeline.drawing(subject))
    boxes = [each for each in drawing.iter(f"{SVG}rect") if "stage" in each.get("class")]
    lit = [name for name, box in zip(pipeline.STAGES, boxes, strict=True) if "lit" in box.get("class")]
    assert {*lit} == pipeline.SUBJECTS[subject]
    assert len({(box.get("x"), box.get("y")) for box in boxes}) == len(boxes), "two stages at one place"


# --- words, symbols and papers ---------------------------------------------------------------------------------------


def pages() -> str:
    return " ".join(path.read_text(encoding="utf-8") for path in (*CHAPTERS, *ROOT.glob("sgi2v_lab/*/README.md")))


def test_the_glossary_explains_words_that_are_used():
    terms = re.findall(r"^(?! )([\w -]+)\n  ", read("glossary.md"), re.MULTILINE)
    assert len(terms) > 20 and terms == sorted(terms, key=str.lower)
    text = re.sub(r"\s+(?:# )?", " ", pages()).lower()
    for term in terms:
        assert term.lower() in text, term


def test_the_notation_names_what_the_code_has():
    named = re.findall(r"\[`([\w.]+)`\]\(([^)]+\.py)\)", read("notation.md"))
    assert len(named) > 10
    for name, file in named:
        tree = ast.parse((DOCS / file).read_text(encoding="utf-8"))
        known = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.ClassDef)}
        known |= {alias.name for each in ast.walk(tree) if isinstance(each, ast.ImportFrom) for alias in each.names}
        assert {*name.split(".")} <= known, f"{name} in {file}"


def test_papers_are_listed_and_listed_papers_are_cited():
    entries = re.findall(r"^@\w+\{(\S+),$", read("references.bib"), re.MULTILINE)
    assert len(set(entries)) == len(entries) > 10
    assert re.findall(r"eprint = \{(\S+)\}", read("references.bib")) == entries
    asked = {number for path in CHAPTERS for number in re.findall(r"arXiv (\d{4}\.\d{5})", path.read_text("utf-8"))}
    assert asked <= {*entries}, "a chapter's paper is not in docs/references.bib"
    cited = {key for path in DOCS.glob("*.md") for keys in re.findall(r"\{cite\}`([^`]+)`", path.read_text())
             for key in keys.split(",")}  # fmt: skip
    assert {*entries} == cited | asked


# --- pages -----------------------------------------------------------------------------------------------------------

CHAPTER = """# %% [markdown]
# # 0 · A chapter
#
# ![The stages](../docs/pipeline/loss.svg) of a paper (arXiv 2411.04989), and $x^2$: [the package](../sgi2v_lab),
# [chapter 0](00_chapter.ipynb), [how to build](../README.md#two-words).

# %% tags=["claim"]
claim("Two is one")

# %% tags=["prediction"]
prediction = predict("One or two?", ...)

# %% nbgrader={"grade": false, "grade_id": "a", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
x = "solved"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "b", "locked": true, "points": 2, "schema_version": 3, "solution": false}
assert x == "checked"

# %% [markdown] tags=["discussion"]
# **Discussion.** It was
# *discussed*.

# %% [markdown]
# ## The end
"""


def build(source: Path, target: Path, *options: str) -> int:
    """Sphinx, warnings as errors and nothing executed."""
    pytest.importorskip("myst_nb")
    from sphinx.cmd.build import main

    always = ["-W", "--keep-going", "-q", "-c", str(DOCS), "-D", "nb_execution_mode=off"]
    with warnings.catch_warnings(action="ignore"):  # Sphinx's own to the authors of its extensions
        return main([*always, *options, "-d", str(target / "doctrees"), str(source), str(target / "pages")])


@pytest.fixture(scope="module")
def little_book(tmp_path_factory):
    """Two chapters' worth: a page, a chapter and a module."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    for folder in ("docs/pipeline", "notebooks", "sgi2v_lab"):
        (source / folder).mkdir(parents=True)
    shutil.copy(DOCS / "pipeline" / "loss.svg", source / "docs" / "pipeline")
    shutil.copy(DOCS / "references.bib", source / "docs")
    (source / "sgi2v_lab" / "__init__.py").write_text("")
    (source / "sgi2v_lab" / "errors.py").write_text("")  # the page is made of the module that is imported
    head = CHAPTERS[0].read_text(encoding="utf-8").partition("# %%")[0]  # which says that it is Python
    (source / "notebooks" / "00_chapter.py").write_text(head + CHAPTER, encoding="utf-8")
    (source / "notebooks" / "00_chapter.ipynb").write_text("{}")  # its pair, to which chapters link
    (source / "README.md").write_text("# Read\n\n## Two words\n\n```{bibliography}\n```\n")
    trees = "```{toctree}\n:glob:\n/README\n/notebooks/*\n/sgi2v_lab/*\n```\n"
    (source / "docs" / "index.md").write_text(f"# A book\n\n[errors](../sgi2v_lab/errors.py)\n{trees}")
    assert build(source, target) == 0
    return target / "pages"


@pytest.mark.slow
def test_a_little_book(little_book):
    chapter = (little_book / "notebooks" / "00_chapter.html").read_text(encoding="utf-8")
    assert "Two is one" not in chapter and "One or two" not in chapter, "claims and predictions are left out"
    solution, check = (chapter.index(word) for word in ("solved", "checked"))
    assert chapter.index("Show the solution") < solution < chapter.index("Show the check") < check
    assert "SOLUTION" not in chapter and "nbgrader" not in chapter
    folded = re.search(r"<details><summary>Discussion</summary>(.*?)</details>", chapter, re.DOTALL)[1]
    assert "<em>discussed</em>" in folded and "The end" not in folded
    assert 'href="../README.html#' in chapter and "#two-words" in chapter
    assert re.search(r'href="../_downloads/\w+/__init__.py"', chapter), "a module without a page is its source"
    assert not [*(little_book / "_downloads").rglob("errors.py")], "a module with a page is that page"
    assert "InputError" in (little_book / "sgi2v_lab" / "errors.html").read_text(encoding="utf-8")
    assert dangling(little_book) == []


@pytest.mark.slow
def test_a_link_to_nowhere_stops_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    shutil.copy(DOCS / "references.bib", tmp_path / "docs")
    (tmp_path / "docs" / "index.md").write_text("# A book\n\n[nowhere](nowhere.md)\n")
    assert build(tmp_path, tmp_path) != 0


@pytest.mark.slow
def test_all_pages_but_the_reference_link_to_what_is_there(tmp_path):
    """The reference takes longer, and is made of docstrings; `make book` builds it too."""
    patterns = [*re.findall(r'"([^"]+)"', re.search(r"^include_patterns = \[(.*)\]", read("conf.py"), re.M)[1])]
    patterns += ["sgi2v_lab/errors.py", "sgi2v_lab/models/load.py"]
    assert build(ROOT, tmp_path, "-D", f"include_patterns={','.join(patterns)}") == 0
    assert {path.stem for path in (tmp_path / "pages" / "notebooks").glob("[0-9]*.html")} == {p.stem for p in CHAPTERS}
    assert dangling(tmp_path / "pages") == []


def test_the_workflow_builds_what_make_book_builds():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["book"]["steps"] if "run" in step]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^book:.*\n\t.*\$\(BIN\)/(python -m sphinx .*)", makefile, re.MULTILINE)
    assert commands[-1] == recipe and " -W " in recipe
    assert "PUBLISH_BOOK" in workflow["jobs"]["publish"]["if"]


def dangling(book: Path) -> list[str]:
    """Links and files that pages name and the book does not have; also whatever a page takes from the network."""
    missing = []
    for page in {*book.rglob("*.html")} - {*book.glob("_static/**/*.html")}:
        text = page.read_text(encoding="utf-8")
        for tag, link in re.findall(r'<(\w+)\b[^>]*?\b(?:href|src)="([^"]+)"', text):
            parts = urlsplit(link)
            if parts.scheme in ("https", "http"):
                missing += [f"{page.name}: {link}"] if tag != "a" else []
            elif parts.path and not parts.scheme and not (page.parent / unquote(parts.path)).exists():
                missing.append(f"{page.name}: {link}")
    return missing
